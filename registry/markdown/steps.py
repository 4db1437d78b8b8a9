"""Reads one step of a v1 markdown command: its agent, task, time and dependencies.

Pure. `outline.py` finds the steps, `convert.py` converts them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import msgspec

from registry.markdown.blocks import unmarked
from registry.wording import NUMBER, UNIT, milliseconds_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_RANGE = rf"(?:(?P<start>{NUMBER})\s*(?:-|\u2013|\u2014|to)\s*)?"
_TIME = re.compile(
    rf"(?:about|approx\.?|approximately|around|est\.?|estimated|estimate|time|duration|takes|up to|~|:|\s)*"
    rf"(?<![\w.]){_RANGE}(?P<number>{NUMBER})\s*-?\s*{UNIT}",
    re.IGNORECASE,
)
_STEPS = r"(?:(?:steps?|tasks?|items?|nos?\.?|numbers?|#)\s*)*"
_NUMBERS = rf"{_STEPS}\d{{1,4}}(?:\s*(?:,|;|&|\+|-|\u2013|\band\b|\bor\b|\bto\b)+\s*{_STEPS}\d{{1,4}})*"
_DEPENDS = r"(?:depends?\s+(?:up)?on|depending\s+on|dependency|dependencies|blocked\s+by)"
_FOLLOWS = r"(?:requires?|after|needs?|following)"
# "requires 2 reviewers" is not about a step: after such a word, numbers must be called steps, or stand alone.
_AFTER = re.compile(
    rf"\b(?:{_DEPENDS}\s*:?\s*(?P<steps>{_NUMBERS})(?![\w.])"
    rf"|{_FOLLOWS}\s*:?\s*(?P<called>(?:steps?|#)\s*{_NUMBERS})(?![\w.])"
    rf"|{_FOLLOWS}\s*:?\s*(?P<alone>{_NUMBERS})(?=\s*(?:[,;]|$)))",
    re.IGNORECASE,
)
_CLAUSE = re.compile(rf"^(?P<task>.+?)\s+(?P<tail>{_DEPENDS}\b.*)$", re.IGNORECASE)
_END_TIME = re.compile(
    rf"^(?P<task>.*(?<!\bfor)(?<!\bin)(?<!\bevery)(?<!\bwithin)(?<!\blast)(?<!\bafter))\s+(?P<tail>~?{NUMBER}\s*-?\s*{UNIT})$",
    re.IGNORECASE,
)
_AFTER_NAME = re.compile(
    r"\bdepend(?:s|ing)?\s+(?:up)?on\s*:?\s*(?P<names>[\w`*][\w`* -]*(?:,\s*[\w`*][\w`* -]*)*)", re.IGNORECASE
)
_NOTHING = re.compile(r"\b(?:no\s+dependenc(?:y|ies)|depends\s+on\s+(?:nothing|none)|independent)\b", re.IGNORECASE)
_BRACKETS = re.compile(r"\s*[(\[]([^()\[\]]{1,300})[)\]]")
_TRAILING = re.compile(r"^(?P<task>.+?)(?P<separator>\s+[-\u2013\u2014|]\s+|\s*[,;|]\s*|\.\s+)(?P<tail>[^,;|]{1,120})$")
_BOLD_AGENT = re.compile(
    r"^(?:\*\*|__|`|\*\*`)@?(?P<agent>[A-Za-z][\w-]{0,100})(?:`\*\*|\*\*|__|`)\s*(?::|[-\u2013\u2014]|\u2192|->|$)\s*(?P<task>.*)$"
)
_INNER_COLON = re.compile(r"^(?P<mark>\*\*|__)@?(?P<agent>[A-Za-z][\w-]{0,100}):(?P=mark)\s*(?P<task>.+)$")
_PLAIN_AGENT = re.compile(r"^@?(?P<agent>[a-z][a-z0-9_]*(?:-[a-z0-9_]+)*)\s+[-\u2013\u2014]\s+(?P<task>.+)$")
_COLON_AGENT = re.compile(r"^@?(?P<agent>[a-z][a-z0-9_]*(?:-[a-z0-9_]+)+)\s*:\s+(?P<task>.+)$")
_LABEL = re.compile(r"^(?P<label>agent|time|estimated time|estimate|duration|task)\s*:\s*(?P<value>.+)$", re.IGNORECASE)
_EMPTY = re.compile(r"[\s,;.:&|~()\[\]-]*")
_MAX_LINE_LENGTH = 500
"""A longer line is only a task: attributes are short, and searching for them takes quadratic time."""
_MAX_ATTRIBUTES = 50
"""Lines below a step that are searched for attributes."""
_MAX_TAILS = 6
_MAX_TASK_LENGTH = 80
"""Up to this length, the details are part of the task, which is shown as a todo; longer ones become an input."""
_PERIOD = re.compile(
    r"\b(?:last|past|within|every|each|previous|next|older|newer|more|less|than|per|for|in|since)\s+(?:the\s+)?\d",
    re.IGNORECASE,
)
"""A time that is a period or an interval, not the duration of the step."""
_ENDINGS = " .:;,-\u2013\u2014"
_SEPARATORS = ",;:|/&+-\u2013\u2014"
_MARKER = re.compile(r"^(?:[-*+]|\d{1,4}[.)])\s+")
_FENCE = re.compile(r"^\s*(`{3,}|~{3,})")
_NAMED_AGENT = re.compile(
    r"\bsubagent_type\s*[=:]\s*[\"'`\u201c]?(?P<type>[A-Za-z][\w:-]*)(?![\w.\[({])"
    r"|\b(?:use|launch|invoke|spawn|run|call|deploy|delegate to|dispatch|with|via)\s+(?:the\s+|an?\s+)?[`*@\"]{0,3}"
    r"(?P<agent>[a-z][a-z0-9]*(?:-[a-z0-9]+)+)[`*\"]{0,3}\s+(?:sub-?)?agent\b",
    re.IGNORECASE,
)
_ONLY_AGENT = re.compile(
    r"(?:use|launch|invoke|call)?\s*(?:the\s+)?`?(?:Task|Agent)?`?(?:\s+tool)?\s*(?:with|:|,)?\s*"
    r"`?subagent_type\s*[=:]\s*[\"'`\u201c]?[A-Za-z][\w:-]*[\"'`\u201d]*\.?",
    re.IGNORECASE,
)
_COMMIT_TYPES = frozenset(
    {
        "build",
        "chore",
        "ci",
        "docs",
        "feat",
        "fix",
        "hotfix",
        "perf",
        "refactor",
        "release",
        "revert",
        "style",
        "test",
        "wip",
    }
)


class Time(msgspec.Struct, frozen=True):
    """A time as written: one number, or a range."""

    milliseconds: int
    """The number, or the upper end of the range."""
    start: int | None = None
    """The lower end of the range."""


@dataclass(slots=True)
class Step:
    """One numbered item."""

    number: int
    """As written; not always unique."""
    line: int
    task: str = ""
    agent: str | None = None
    time: Time | None = None
    after: list[int] = field(default_factory=list)
    """Written numbers of the steps that it depends on."""
    after_names: list[str] = field(default_factory=list)
    """Steps that it depends on, by name instead of number."""
    says_order: bool = False
    """Whether it states its dependencies, even if there are none."""
    names_agents: bool = False
    """Whether it, or the text below it, names one or more agents."""
    head: str = ""
    """The task without the text below it."""
    details: str = ""
    """The text below it, if too long for the task."""


def read_time(text: str) -> tuple[Time | None, str]:
    """The first time in *text*, and the text without all times."""
    found = _TIME.search(text)
    if found is None:
        return None, text
    start = milliseconds_of(found["start"], found["unit"]) if found["start"] else None
    if start is not None and float(found["start"]) == 0:
        start = 0
    return Time(milliseconds_of(found["number"], found["unit"]), start), _TIME.sub(" ", text)


def read_heading_time(text: str) -> tuple[Time | None, str]:
    """The time in the heading *text* for everything under it, and the text without it.

    A time inside a phrase ("Wait 5 minutes for the build") is part of the text.
    """
    step = Step(number=0, line=0)
    rest = _take_tail(step, _take_brackets(step, text))
    return (step.time, rest) if step.time is not None and not (step.after or step.after_names) else (None, text)


def read_step(number: int, text: str, details: Sequence[str], *, line: int) -> Step:
    """The step in *text*; *details* are the lines below that belong to it."""
    step = Step(number=number, line=line)
    text = " ".join(text.split())
    named = agents_named("\n".join((text, *details)))
    step.names_agents = bool(named)
    if len(text) <= _MAX_LINE_LENGTH:
        text = _take_agent(step, _take_tail(step, _take_brackets(step, text)))
    kept = list(_without_attributes(step, details))
    step.agent = step.agent or (named[0] if len(named) == 1 else None)
    step.task = step.head = _plain(text)
    step.details = "\n".join(kept).strip("\n")
    if step.details and len(step.details) <= 2 * _MAX_TASK_LENGTH and not any(map(_FENCE.match, kept)):
        joined = f"{step.task}: {'; '.join(_plain(_MARKER.sub('', line.strip())) for line in kept if line.strip())}"
        if len(joined) <= _MAX_TASK_LENGTH:
            step.task, step.details = joined, ""
    return step


def agents_named(text: str) -> list[str]:
    """The agents that *text* explicitly names: `subagent_type="x"`, or "use the x agent"."""
    return list(dict.fromkeys(found["type"] or found["agent"] for found in _NAMED_AGENT.finditer(text)))


def _without_attributes(step: Step, details: Sequence[str]) -> Iterator[str]:
    """The lines of *details* without those that are only attributes, which are added to *step*."""
    fence = ""
    for place, line in enumerate(details):
        mark = _FENCE.match(line)
        if mark is not None and (not fence or mark[1].startswith(fence)):
            fence = "" if fence else mark[1]
        elif not fence and line.strip() and place < _MAX_ATTRIBUTES and len(line) <= _MAX_LINE_LENGTH:
            rest = _take_detail(step, line)
            if rest is None:
                continue
        yield line


def _take_attributes(step: Step, text: str) -> str:
    """Move times and dependencies of *text* into *step*; returns the rest."""
    time, rest = read_time(text)
    after = [
        number
        for found in _AFTER.finditer(rest)
        for number in _numbers(found["steps"] or found["called"] or found["alone"])
    ]
    rest = _AFTER.sub(" ", rest)
    names = _AFTER_NAME.search(rest) if not after and not _NOTHING.search(rest) else None
    if names is not None:
        step.after_names += [
            _plain(name).strip() for name in re.split(r",|\band\b", names["names"]) if _plain(name).strip()
        ]
        rest = rest.replace(names.group(), " ")
    step.says_order = step.says_order or bool(after) or names is not None or bool(_NOTHING.search(rest))
    rest = _NOTHING.sub(" ", rest)
    step.after += [number for number in after if number not in step.after]
    step.time = step.time or time
    return "" if _EMPTY.fullmatch(rest) else rest.strip(" ,;-\u2013\u2014")


def _numbers(text: str) -> list[int]:
    """The numbers of `1`, `2,3`, `2 and 3`, `2-4`."""
    numbers: list[int] = []
    for found in re.finditer(r"(\d+)(?:\s*(?:-|\u2013|to)\s*(?:steps?\s*)?(\d+))?", text):
        first = int(found[1])
        last = int(found[2]) if found[2] else first
        numbers += range(first, last + 1) if first <= last <= first + 100 else [first, last]
    return numbers


def _take_brackets(step: Step, text: str) -> str:
    def replace(found: re.Match[str]) -> str:
        inner = found[1]
        if not _has_attribute(inner):
            return found.group()
        if _PERIOD.search(inner) or not _stands_alone(_TIME.search(inner), inner):
            return found.group()
        rest = _take_attributes(step, inner)
        return f" ({rest})" if rest else " "

    return re.sub(r"\s{2,}", " ", _BRACKETS.sub(replace, text)).strip()


def _stands_alone(time: re.Match[str] | None, text: str) -> bool:
    """Whether the *time* in *text*, if any, stands alone: "(or at least 20 minutes)" is not the step's time."""
    if time is None:
        return True
    before, behind = text[: time.start()].strip(), text[time.end() :].strip()
    return (not before or before[-1] in _SEPARATORS) and (not behind or behind[0] in _SEPARATORS)


def _take_tail(step: Step, text: str) -> str:
    """Take times and dependencies at the end of the line, after a dash, a comma or nothing."""
    for _ in range(_MAX_TAILS):
        for pattern in (_CLAUSE, _TRAILING, _END_TIME):
            found = pattern.match(text)
            if (
                found is not None
                and _has_attribute(found["tail"])
                and not _take_attributes(Step(number=0, line=0), found["tail"])
            ):
                _take_attributes(step, found["tail"])
                text = found["task"].rstrip(" ,;|-\u2013\u2014")
                break
        else:
            break
    return text


def _has_attribute(text: str) -> bool:
    """Whether *text* contains a time or a dependency."""
    return any(pattern.search(text) for pattern in (_TIME, _AFTER, _AFTER_NAME, _NOTHING))


def _take_agent(step: Step, text: str) -> str:
    for pattern in (_INNER_COLON, _BOLD_AGENT, _PLAIN_AGENT, _COLON_AGENT):
        found = pattern.match(text)
        # A bold word with a capital letter is a title: **Analyze** - the code.
        if found is not None and found["agent"] == found["agent"].lower() and _may_be_agent(found):
            step.agent = found["agent"]
            return found["task"].strip()
    return text


def _may_be_agent(found: re.Match[str]) -> bool:
    """A single word is an agent only before a dash, and not a type of commit: "**fix**: a bug" explains a word."""
    word = found["agent"]
    if "-" in word or "_" in word or found.group().startswith("@"):
        return True
    between = found.group()[: found.start("task") - found.start()]
    return word not in _COMMIT_TYPES and "`" not in between and ":" not in between


def _take_detail(step: Step, detail: str) -> str | None:
    """One line below the step; None if it is only an attribute of it."""
    text = re.sub(_MARKER, "", " ".join(detail.split()))
    label = _LABEL.match(_plain(text))
    if label is not None and label["label"].casefold() == "agent" and re.fullmatch(r"@?[\w-]+", label["value"]):
        step.agent = step.agent or label["value"].lstrip("@")
        return None
    if not _take_attributes(Step(number=0, line=0), _plain(text)) and _has_attribute(text):
        _take_attributes(step, _plain(text))
        return None
    return None if _ONLY_AGENT.fullmatch(text) else text


def _plain(text: str) -> str:
    """*text* without the marks of emphasis and code, and without the URLs of links."""
    text = re.sub(r"\[([^\[\]]{1,200})\]\([^()]{0,500}\)", r"\1", text)
    text = text.strip().rstrip(_ENDINGS)
    return unmarked(text) if text.endswith("`") else unmarked(text).strip().rstrip(_ENDINGS)
