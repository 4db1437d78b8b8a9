"""Ast-grep with our own rules, for all languages that it parses.

Effects: starts ast-grep on files by name, so that no ignore file counts. `-c` names our configuration; otherwise the
repository's would be used.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from registry.packaged.review_repo.files import read_text
from registry.packaged.review_repo.findings import Hit
from registry.packaged.review_repo.meanings import MEANINGS
from registry.packaged.review_repo.programs import Deadline
from registry.packaged.review_repo.rules import BY_ID, RULES, as_yaml
from registry.packaged.review_repo.rules.words import NOTHING, Text, is_met, need_of
from registry.packaged.review_repo.tools.scan import Scan, Workshop, locate, scan

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from registry.packaged.review_repo.files import Source
    from registry.packaged.review_repo.programs import Finished

TOOL = "ast-grep"
SECONDS = 60.0
_FUNCTION = re.compile(r"^\\?\w+\s*\(")
READING_SECONDS = 15.0
"""Time to look for the words of rules; files that it does not reach are scanned without."""
_TSX = "Tsx"
LANGUAGES = {
    "Python": (".py", {"Python"}),
    "JavaScript": (".js", {"JavaScript"}),
    "TypeScript": (".ts", {"TypeScript", _TSX}),
    "Go": (".go", {"Go"}),
    "Java": (".java", {"Java"}),
    "PHP": (".php", {"Php"}),
    "Ruby": (".rb", {"Ruby"}),
    "C#": (".cs", {"CSharp"}),
    "Rust": (".rs", {"Rust"}),
    "Kotlin": (".kt", {"Kotlin"}),
}
"""The languages with rules of ours: the ending by which ast-grep knows each, and its own names for it."""
_NEEDS = {rule.id: need_of(rule) for rule in RULES}


def find(shop: Workshop) -> Scan:
    """Hits of our rules in all files of their languages."""
    program = locate("ast-grep-cli", "ast-grep")
    names: list[str] = []
    wanted: set[tuple[str, str]] = set()
    rules_of: dict[str, list[tuple[str, str]]] = {}
    looked_at = 0
    deadline = Deadline(READING_SECONDS)
    for language, (suffix, its_names) in LANGUAGES.items():
        files = [
            file for file in shop.listing.of_language(language) if not file.path.endswith((".pyx", ".pyi", ".d.ts"))
        ]
        looked_at += len(files)
        promising = _promising(shop, files, its_names, deadline)
        names += shop.names([file for file, _ in promising], suffix)
        wanted.update(*(rules for _, rules in promising))
        rules_of |= {file.path: rules for file, rules in promising}
    folder = shop.scratch / "ast-grep"
    (folder / "rules").mkdir(parents=True)
    (folder / "rules" / "all.yml").write_text(as_yaml(wanted), encoding="utf-8")
    (folder / "sgconfig.yml").write_text("ruleDirs: [rules]\n", encoding="utf-8")
    argv = [program, "scan", "-c", str(folder / "sgconfig.yml"), "--json=stream"]
    done = scan(shop, TOOL, argv, names, lambda done: _read(done, shop, rules_of), seconds=SECONDS)
    done.files = looked_at
    return done


def _promising(
    shop: Workshop, files: Sequence[Source], its_names: set[str], deadline: Deadline
) -> list[tuple[Source, list[tuple[str, str]]]]:
    """The files in which rules may find something, each with their ids and its language.

    A file whose text is not read here, as after the time, is one for all rules.
    """
    rules = [rule for rule in RULES if not its_names.isdisjoint(rule.languages)]
    readable = all(_NEEDS[rule.id] != NOTHING for rule in rules)  # else no text is without some rule
    found = []
    for file in files:
        content = read_text(shop.listing.root, file) if readable and not deadline.passed else None
        text = None if content is None else Text(content)
        language = _TSX if file.path.endswith(".tsx") else min(its_names - {_TSX})
        its = [
            (rule.id, language)
            for rule in rules
            if language in rule.languages
            and (text is None or (is_met(_NEEDS[rule.id], text) and (not rule.traced or text.serves)))
        ]
        if its:
            found.append((file, its))
    return found


def _read(done: Finished, shop: Workshop, rules_of: Mapping[str, Sequence[tuple[str, str]]]) -> list[Hit] | None:
    """The hits of our rules; a rule for data of a request finds nothing in a file without one."""
    if done.code not in (0, 1):
        return None
    hits = []
    for line in done.stdout.splitlines():
        try:
            item = json.loads(line)
        except ValueError:
            return None
        # Comments that suppress a rule which is not ours come back as hits of their own.
        rule = BY_ID.get(item["ruleId"].partition("--")[0])
        file = shop.original(item["file"])
        if rule is not None and not (rule.traced and all(rule.id != name for name, _ in rules_of.get(file, ()))):
            start, end = item["range"]["start"]["line"] + 1, item["range"]["end"]["line"] + 1
            hits.append(
                Hit(
                    tool=TOOL,
                    rule=rule.id,
                    meaning=rule.meaning,
                    severity=rule.severity,
                    confidence=rule.confidence,
                    file=file,
                    line=start,
                    end=end,
                    message=MEANINGS[rule.meaning].title,
                    value=_value(item) if rule.traced else "",
                )
            )
    return hits


def _value(item: Mapping[str, Any]) -> str:
    """The part of the code that the rule names X, or all of it but the name of a function that is called."""
    named = (item.get("metaVariables") or {}).get("single") or {}
    return str(named["X"]["text"]) if "X" in named else _FUNCTION.sub("", item["text"])
