"""Reads one numbered step of a v1 markdown command: who does what, how long it takes, and after which steps.

Pure. Whole documents, and what the steps become, are `registry/markdown_v1.py`'s.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from registry.wording import NUMBER, UNIT, milliseconds_of

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
# "requires 2 reviewers" names no step: behind such a word the numbers must be called steps, or stand alone.
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
    r"^(?:\*\*|__|`|\*\*`)@?(?P<agent>[A-Za-z][\w-]{0,100})(?:`\*\*|\*\*|__|`)\s*(?::|[-\u2013\u2014]|\u2192|->)?\s*(?P<task>.*)$"
)
_INNER_COLON = re.compile(r"^(?P<mark>\*\*|__)@?(?P<agent>[A-Za-z][\w-]{0,100}):(?P=mark)\s*(?P<task>.+)$")
_PLAIN_AGENT = re.compile(r"^@?(?P<agent>[a-z][a-z0-9_]*(?:-[a-z0-9_]+)*)\s+[-\u2013\u2014]\s+(?P<task>.+)$")
_COLON_AGENT = re.compile(r"^@?(?P<agent>[a-z][a-z0-9_]*(?:-[a-z0-9_]+)+)\s*:\s+(?P<task>.+)$")
_LABEL = re.compile(r"^(?P<label>agent|time|estimated time|estimate|duration|task)\s*:\s*(?P<value>.+)$", re.IGNORECASE)
_EMPTY = re.compile(r"[\s,;.:&|~()\[\]-]*")
_LONGEST_LINE = 500
"""A longer line is all task: facts are said shortly, and looking for them costs the square of the length."""
_MOST_FACTS = 50
"""Lines below a step that may be facts about it."""
_MOST_TAILS = 6


@dataclass(frozen=True, slots=True)
class Time:
    """A time as written: one number, or a range."""

    milliseconds: int
    """The number, or the upper end of the range."""
    start: int | None = None
    """The lower end of the range."""


@dataclass(slots=True)
class Step:
    """One numbered item."""

    number: int
    """As printed; not always unique."""
    line: int
    task: str = ""
    agent: str | None = None
    time: Time | None = None
    after: list[int] = field(default_factory=list)
    """Printed numbers of the steps before it."""
    after_names: list[str] = field(default_factory=list)
    """Steps before it that are named and not numbered."""
    says_order: bool = False
    """Something is said about what it depends on, be it nothing."""


def read_time(text: str) -> tuple[Time | None, str]:
    """The first time in *text*, and the text without all times."""
    found = _TIME.search(text)
    if found is None:
        return None, text
    start = milliseconds_of(found["start"], found["unit"]) if found["start"] else None
    if start is not None and float(found["start"]) == 0:
        start = 0
    return Time(milliseconds_of(found["number"], found["unit"]), start), _TIME.sub(" ", text)


def read_step(number: int, text: str, details: list[str], *, line: int) -> Step:
    """The step of numbered item *text*; *details* are the lines below it that belong to it."""
    step = Step(number=number, line=line)
    text = " ".join(text.split())
    if len(text) <= _LONGEST_LINE:
        text = _take_agent(step, _take_tail(step, _take_brackets(step, text)))
    kept = [rest for place, detail in enumerate(details) if (rest := _take_detail(step, detail, place))]
    step.task = _join(_plain(text), kept)
    return step


def _take_facts(step: Step, text: str) -> str:
    """Move times and dependencies of *text* into *step*; what is neither comes back."""
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
    return "" if _EMPTY.fullmatch(rest) else rest.strip(" ,;")


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
        if not _speaks(inner):
            return found.group()
        rest = _take_facts(step, inner)
        return f" ({rest})" if rest else " "

    return re.sub(r"\s{2,}", " ", _BRACKETS.sub(replace, text)).strip()


def _take_tail(step: Step, text: str) -> str:
    """Times and dependencies at the end of the line, behind a dash, a comma or nothing."""
    for _ in range(_MOST_TAILS):
        for pattern in (_CLAUSE, _TRAILING, _END_TIME):
            found = pattern.match(text)
            if found is not None and _speaks(found["tail"]) and not _take_facts(Step(number=0, line=0), found["tail"]):
                _take_facts(step, found["tail"])
                text = found["task"].rstrip(" ,;|-\u2013\u2014")
                break
        else:
            break
    return text


def _speaks(text: str) -> bool:
    """Whether *text* says a time or an order at all."""
    return any(pattern.search(text) for pattern in (_TIME, _AFTER, _AFTER_NAME, _NOTHING))


def _take_agent(step: Step, text: str) -> str:
    for pattern in (_INNER_COLON, _BOLD_AGENT, _PLAIN_AGENT, _COLON_AGENT):
        found = pattern.match(text)
        # A bold word with a capital is a title: **Analyze** - the code.
        if found is not None and found["agent"] == found["agent"].lower():
            step.agent = found["agent"]
            return found["task"].strip()
    return text


def _take_detail(step: Step, detail: str, place: int) -> str:
    """One line below the step: a fact about it, or a part of its task."""
    text = re.sub(r"^(?:[-*+]|\d{1,4}[.)])\s+", "", " ".join(detail.split()))
    if len(text) > _LONGEST_LINE or place >= _MOST_FACTS:
        return _plain(text)
    label = _LABEL.match(_plain(text))
    if label is not None and label["label"].casefold() == "agent" and re.fullmatch(r"@?[\w-]+", label["value"]):
        step.agent = step.agent or label["value"].lstrip("@")
        return ""
    if not _take_facts(Step(number=0, line=0), _plain(text)) and _speaks(text):
        return _take_facts(step, _plain(text))
    return _plain(text)


def _plain(text: str) -> str:
    """*text* without the marks of emphasis and code, and without links' addresses."""
    text = re.sub(r"\[([^\[\]]{1,200})\]\([^()]{0,500}\)", r"\1", text)
    return re.sub(r"\*\*|__|`|(?<!\w)[*_](?=\w)|(?<=\w)[*_](?!\w)", "", text).strip().rstrip(" .:;,-\u2013\u2014")


def _join(task: str, details: list[str]) -> str:
    """The task with its details behind a colon, as one line."""
    if not details:
        return task
    return f"{task}: {'; '.join(details)}" if task else "; ".join(details)
