"""Checks whether JSON, TOML and YAML text parses, without building objects that the text names.

Pure. Formats that look like JSON but allow more (such as tsconfig) are not checked.
"""

from __future__ import annotations

import json
import re
import tomllib

import yaml

_RELAXED_JSON = re.compile(
    r"(^|/)((ts|js)config[^/]*\.json|\.eslintrc(\.json)?|\.babelrc(\.json)?|\.swcrc|\.jshintrc|devcontainer\.json"
    r"|[^/]*\.(jsonc|json5)|(deno|turbo|nx|project|biome|language-configuration|angular|api-extractor|wrangler)\.json)$"
    r"|(^|/)(\.vscode|\.devcontainer|\.zed)/",
)
_COMMENT = re.compile(r"^\s*(//|/\*)", re.MULTILINE)
_YAML_DEPTH = 1_000
"""Of deeper text, the reading takes time with the square of the depth."""
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def syntax_error(path: str, language: str, text: str) -> tuple[int, str] | None:
    """Line and problem of the first syntax error, None if *text* parses or is not checked."""
    if not text.strip():
        return None
    if language == "JSON":
        return None if _RELAXED_JSON.search(path) else _json(text)
    return {"TOML": _toml, "YAML": _yaml}[language](text)


def _json(text: str) -> tuple[int, str] | None:
    try:
        json.loads(text)
    except json.JSONDecodeError as error:
        if (error.msg == "Extra data" and _is_json_lines(text)) or _COMMENT.search(text):
            return None  # a reader that takes comments may take more
        return error.lineno, error.msg
    except RecursionError:
        return 1, "Nested too deeply to be read"
    except ValueError:
        return None  # a number longer than Python's limit on digits is valid JSON
    return None


def _is_json_lines(text: str) -> bool:
    """Whether *text* is several JSON documents, one after the other."""
    decoder, place = json.JSONDecoder(), 0
    try:
        for _ in range(20):
            place += len(text[place:]) - len(text[place:].lstrip())
            if place >= len(text):
                break
            _, place = decoder.raw_decode(text, place)
    except (ValueError, RecursionError):
        return False
    return True


def _toml(text: str) -> tuple[int, str] | None:
    try:
        tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        place = re.search(r"at line (\d+)", str(error))
        return (int(place[1]) if place else 1), re.sub(r" \(at [^)]*\)$", "", str(error))
    except (RecursionError, ValueError):
        return 1, "Nested too deeply or with a value that cannot be read"
    return None


def _yaml(text: str) -> tuple[int, str] | None:
    try:
        # Events only: no anchors are expanded and no objects are built.
        depth = 0
        for event in yaml.parse(text, Loader=_LOADER):
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > _YAML_DEPTH:
                line = event.start_mark.line + 1 if event.start_mark else 1
                return line, "Nested too deeply to be read"
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        return (mark.line + 1 if mark else 1), error.problem or "not YAML"
    except (yaml.YAMLError, RecursionError) as error:
        return 1, str(error).splitlines()[0]
    return None
