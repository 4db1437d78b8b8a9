"""Our checks of Dockerfiles and of compose files.

Pure: takes the text of a file.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import msgspec

from registry.packaged.review_repo.findings import Hit

if TYPE_CHECKING:
    from collections.abc import Iterator

TOOL = "docker"


class _Instruction(msgspec.Struct, frozen=True):
    line: int
    name: str
    text: str


_NAME = re.compile(r"(^|/)([Dd]ockerfile|[Cc]ontainerfile)([.-][\w.-]+)?$|\.[Dd]ockerfile$")
_NOT_NAME = (".sh", ".md", ".template", ".awk", ".dockerignore", ".py", ".yml", ".yaml", ".json")
_COMPOSE = re.compile(r"(^|/)(docker-)?compose[\w.-]*\.ya?ml$")
_DROPS_RIGHTS = re.compile(r"\b(gosu|su-exec|setpriv|s6-setuidgid|runuser|chroot --userspec)\b")
_SECRET = re.compile(
    r"(?i)^\s*(\w*(password|passwd|secret|token|api_?key|private_?key))\s*[= ]\s*[\"']?(?P<value>[^\s\"'$]{6,})"
)
_DOWNLOAD = re.compile(r"(curl|wget)\b[^|;&]*\|\s*(sudo\s+)?(ba|z|da)?sh\b")
_PLACEHOLDER = re.compile(r"(?i)change|example|your|dummy|placeholder|test|<")


def is_dockerfile(path: str) -> bool:
    """Whether docker builds from a file of this name."""
    return _NAME.search(path) is not None and not path.endswith(_NOT_NAME)


def is_compose(path: str) -> bool:
    """Whether this is a compose file."""
    return _COMPOSE.search(path) is not None


def check_dockerfile(text: str, path: str) -> Iterator[Hit]:
    """Faults of a Dockerfile."""
    instructions = list(_instructions(text))
    stages = {
        match[1].lower()
        for each in instructions
        if each.name == "FROM" and (match := re.search(r"\bas\s+(\S+)", each.text, re.IGNORECASE))
    }
    starts: dict[str, int] = {}
    for each in instructions:
        if each.name == "FROM":
            starts = {}
            yield from _base(each, stages, path)
        elif each.name in ("CMD", "ENTRYPOINT"):
            if each.name in starts:
                yield _hit(
                    "repeated-start",
                    ("docker-bug", "medium", "high"),
                    (path, each.line),
                    f"A second {each.name} replaces the one on line {starts[each.name]}",
                )
            starts[each.name] = each.line
        elif each.name in ("ENV", "ARG"):
            found = _SECRET.match(each.text)
            if found and not _PLACEHOLDER.search(found["value"]) and each.name == "ENV":
                yield _hit(
                    "secret-in-image",
                    ("docker-secret", "high", "medium"),
                    (path, each.line),
                    f"{found[1]} is set in the image (the value is not shown)",
                    redacted=True,
                )
        elif each.name == "RUN":
            yield from _run(each, path)
        elif each.name == "ADD" and re.match(r"https?://", each.text) and not re.search(r"--checksum", each.text):
            yield _hit(
                "unchecked-download",
                ("docker-download", "low", "high"),
                (path, each.line),
                "ADD downloads a file without a checksum",
            )
        elif (
            each.name in ("COPY", "ADD")
            and re.search(r"(^|\s)\.env(\s|$)|id_rsa|(key|private)[\w.-]*\.pem(\s|$)", each.text)
            and not re.search(r"--from=", each.text)
        ):
            yield _hit(
                "secret-copied",
                ("docker-secret", "high", "low"),
                (path, each.line),
                "A file that holds secrets is copied into the image",
            )
    yield from _user(instructions, text, path)


def check_compose(text: str, path: str) -> Iterator[Hit]:
    """Faults of a compose file."""
    for number, line in enumerate(text.split("\n"), start=1):
        if re.match(r"\s*privileged:\s*true\b", line):
            yield _hit(
                "privileged", ("docker-exposed", "medium", "high"), (path, number), "The container is privileged"
            )
        elif re.match(r"\s*-\s*[\"']?/var/run/docker\.sock(?!.*:ro)", line):
            yield _hit(
                "docker-socket",
                ("docker-exposed", "medium", "medium"),
                (path, number),
                "The container can start others on the host",
            )


def _base(each: _Instruction, stages: set[str], path: str) -> Iterator[Hit]:
    image = next((word for word in each.text.split() if not word.startswith("--")), "")
    name, _, tag = image.rpartition("/")[2].partition(":")
    if "$" in image or "@" in image or image.lower() in stages or image == "scratch":
        return
    if not tag or tag == "latest":
        yield _hit(
            "no-version", ("docker-base", "low", "high"), (path, each.line), f"The base image {name} has no version"
        )


def _run(each: _Instruction, path: str) -> Iterator[Hit]:
    if _DOWNLOAD.search(each.text):
        yield _hit(
            "download-to-shell",
            ("docker-download", "low", "medium"),
            (path, each.line),
            "A download is piped into a shell",
        )
    if re.match(r"cd\s+\S+\s*$", each.text):
        yield _hit(
            "lost-folder",
            ("docker-bug", "medium", "high"),
            (path, each.line),
            "`cd` alone has no effect on the next instruction",
        )
    if re.search(r"\bchmod\s+(-R\s+)?0?777\b", each.text):
        yield _hit("open-to-all", ("docker-root", "low", "high"), (path, each.line), "Every user can write the files")


def _user(instructions: list[_Instruction], text: str, path: str) -> Iterator[Hit]:
    """The last stage starts a program, and as root."""
    last = max((place for place, each in enumerate(instructions) if each.name == "FROM"), default=None)
    if last is None or _DROPS_RIGHTS.search(text):
        return
    stage = instructions[last:]
    starts = [each for each in stage if each.name in ("CMD", "ENTRYPOINT")]
    users = [each.text.split(":")[0].strip() for each in stage if each.name == "USER"]
    base = stage[0].text.lower()
    if starts and (not users or users[-1] in ("root", "0")) and not re.search(r"nonroot|rootless|unprivileged", base):
        yield _hit(
            "runs-as-root",
            ("docker-root", "low", "high"),
            (path, starts[-1].line),
            "The last stage sets no user: the program runs as root",
        )


def _instructions(text: str) -> Iterator[_Instruction]:
    """Instructions with the line they start on, their continued lines joined."""
    start, parts = 0, []
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        start = start or number
        parts.append(line.rstrip().removesuffix("\\"))
        if line.rstrip().endswith("\\"):
            continue
        name, _, rest = " ".join(part.strip() for part in parts).partition(" ")
        yield _Instruction(start, name.upper(), rest.strip())
        start, parts = 0, []


def _hit(
    rule: str, weight: tuple[str, str, str], place: tuple[str, int], message: str, *, redacted: bool = False
) -> Hit:
    meaning, severity, confidence = weight
    return Hit(
        tool=TOOL,
        rule=rule,
        meaning=meaning,
        severity=severity,
        confidence=confidence,
        file=place[0],
        line=place[1],
        message=message,
        redacted=redacted,
    )
