"""Turns a v1 markdown command into a v2 definition, and says everything that it had to infer (SPEC 12).

Pure. Reading one numbered step is `registry/markdown_steps.py`'s; whether the result is valid, the validator's.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from engine.errors import InputError
from engine.model.agent import AgentSource
from engine.validation import Problem, Severity
from registry.markdown_phases import levels, needs_all_before, phase_names
from registry.markdown_steps import Step, Time, read_step, read_time
from registry.wording import Names, node_slug, phase_slug, shorten, slug

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from engine.model.agent import Agent

NO_STEPS = "NOT_A_COMMAND"
"""Code of the one error that prose gives."""
DEFAULT_AGENT = "general-assistant"
DEFAULT_TIME = 60_000
_OWN = frozenset({AgentSource.PROJECT, AgentSource.USER})
_LONGEST_DESCRIPTION = 200
_MOST_STEPS = 2000

_HEADING = re.compile(r"^ {0,3}(?P<marks>#{1,6})\s+(?P<text>.+?)\s*#*\s*$")
_ITEM = re.compile(r"^(?P<indent> {0,3})(?P<number>\d{1,4})[.)]\s+(?P<text>\S.*)$")
_FENCE = re.compile(r"^\s*(`{3,}|~{3,})")
_FRONTMATTER = re.compile(r"\A---[ \t]*\n(?P<body>.*?)^---[ \t]*(?:\n|\Z)", re.DOTALL | re.MULTILINE)
_PROMPT_FIELD = re.compile(r"^(?:allowed-tools|argument-hint|disable-model-invocation|model|hooks)\s*:", re.MULTILINE)
_DESCRIPTION_FIELD = re.compile(r"^description\s*:\s*[\"']?(?P<text>.+?)[\"']?\s*$", re.MULTILINE)
_PHASE_PREFIX = re.compile(r"^(?:phase|stage|part|step)\s+(?:\d+|[ivx]+)\s*[:.\u2013\u2014-]?\s*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Converted:
    """A v1 command as v2."""

    definition: dict[str, Any]
    problems: tuple[Problem, ...]
    """What was inferred; pointers lead into `definition`."""


@dataclass(slots=True)
class _Section:
    """A heading and the numbered steps under it."""

    heading: str = ""
    time: Time | None = None
    steps: list[Step] = field(default_factory=list)


@dataclass(slots=True)
class _Document:
    """What stands in the file, before anything is concluded from it."""

    title: str = ""
    description: str = ""
    sections: list[_Section] = field(default_factory=list)


def is_prompt(text: str) -> bool:
    """Whether the file says of itself that it is a prompt of Claude Code, and nothing in it says otherwise."""
    front = _FRONTMATTER.match(text.replace("\r\n", "\n"))
    if front is None or not _PROMPT_FIELD.search(front["body"]):
        return False
    document = _read(text)
    steps = [step for section in document.sections for step in section.steps]
    return not document.title.startswith("/") and not any(step.agent or step.time or step.after for step in steps)


def convert(text: str, *, stem: str) -> Converted:
    """The v2 definition of v1 command *text*; *stem* is its file's name without ending.

    Raises InputError (NOT_A_COMMAND) for prose without numbered steps.
    """
    document = _read(text)
    sections = [section for section in document.sections if section.steps]
    name = "/" + _command_name(document.title, stem)
    if not sections:
        message = f'"{stem}.md" is prose without numbered steps, so it is no v1 command'
        hint = "a v1 command has steps such as `1. senior-reviewer - Review the code (5 min)`; Claude Code runs prompts"
        raise InputError(message, code=NO_STEPS, hint=hint)
    return _Conversion(document, sections, name).result()


class _Conversion:
    """One conversion; collects what was inferred on the way."""

    def __init__(self, document: _Document, sections: list[_Section], name: str) -> None:
        self._document = document
        self._sections = sections
        self._name = name
        self._steps = [step for section in sections for step in section.steps]
        self._problems: list[Problem] = []
        self._ids = self._name_steps()
        self._after = self._order()

    def result(self) -> Converted:
        description = self._describe()
        phases: list[dict[str, Any]] = []
        self._share_times()
        taken = Names()
        for section in self._sections:
            phases += self._phases(section, taken=taken, first=len(phases))
        definition = {"version": "2.0.0", "name": self._name, "description": description, "phases": phases}
        return Converted(definition, tuple(self._problems))

    def _tell(
        self, code: str, message: str, pointer: str, *, suggestion: str | None = None, error: bool = False
    ) -> None:
        severity = Severity.ERROR if error else Severity.WARNING
        self._problems.append(
            Problem(code=code, severity=severity, message=message, pointer=pointer, suggestion=suggestion)
        )

    def _describe(self) -> str:
        found = self._document.description or self._document.title.lstrip("/")
        if not self._document.description:
            self._tell("V1_NO_DESCRIPTION", "No paragraph describes the command; its title was taken", "/description")
        text = found or self._name
        if len(text) > _LONGEST_DESCRIPTION:
            message = f"The description has {len(text)} characters and was cut at {_LONGEST_DESCRIPTION}"
            self._tell("V1_DESCRIPTION_CUT", message, "/description")
        return shorten(text, _LONGEST_DESCRIPTION)

    def _name_steps(self) -> dict[int, str]:
        """An id per step, by its place: from the task's words, so that it stays when steps come or go elsewhere."""
        ids: dict[int, str] = {}
        taken = Names()
        for section in self._sections:
            for step in section.steps:
                wanted = node_slug(step.task or step.agent or "")
                if wanted in taken:
                    more = [slug(step.agent or ""), slug(section.heading)]
                    others = [f"{wanted}-{word}" for word in more if word]
                    wanted = next((other for other in others if other not in taken), wanted)
                ids[id(step)] = taken.claim(wanted)
        return ids

    def _order(self) -> dict[str, list[str]]:
        """The ids that each id depends on."""
        if len(self._sections) == 1 and not self._sections[0].heading and not any(s.says_order for s in self._steps):
            return self._list_order()
        after: dict[str, list[str]] = {}
        for place, section in enumerate(self._sections):
            for step in section.steps:
                here = self._ids[id(step)]
                found = [self._by_number(number, step, place) for number in step.after]
                found += [self._by_name(name, step) for name in step.after_names]
                after[here] = list(dict.fromkeys(one for one in found if one is not None))
        return after

    def _list_order(self) -> dict[str, list[str]]:
        """A plain list: its order is the only one that the text gives."""
        ids = [self._ids[id(step)] for step in self._steps]
        if len(ids) > 1:
            message = "No step says what it depends on, so the steps run one after the other, as they are numbered"
            hint = "write (depends on 1) where a step needs another, and the rest will run in parallel"
            self._tell("V1_SEQUENTIAL", message, "/phases/0", suggestion=hint)
        return {here: [before] if before else [] for before, here in zip(["", *ids], ids, strict=False)}

    def _by_number(self, number: int, step: Step, place: int) -> str | None:
        """The step that *number* means: of the same heading, else the nearest heading before, else any."""
        near = [*range(place, -1, -1), *range(place + 1, len(self._sections))]
        for index in near:
            steps = self._sections[index].steps
            printed = [one for one in steps if one.number == number and one is not step]
            if len({one.number for one in steps}) < len(steps):  # 1. 1. 1. is how some people number
                printed = [one for one in steps[number - 1 : number] if one is not step]
            if printed:
                return self._ids[id(printed[0])]
        self._unknown(step, f"step {number}")
        return None

    def _by_name(self, name: str, step: Step) -> str | None:
        """The step that *name* means: its id, its agent, or the beginning of its task."""
        wanted = node_slug(name)
        others = [one for one in self._steps if one is not step]
        for matches in (
            [one for one in others if self._ids[id(one)] == wanted],
            [one for one in others if one.agent in {name, wanted}],
            [one for one in others if self._ids[id(one)].startswith(f"{wanted}-")],
        ):
            if len(matches) == 1:
                return self._ids[id(matches[0])]
        self._unknown(step, f'"{name}"')
        return None

    def _unknown(self, step: Step, what: str) -> None:
        message = (
            f'Step {step.number} ("{shorten(step.task, 60)}", line {step.line}) depends on {what}, which does not exist'
        )
        known = ", ".join(f"{one.number} ({self._ids[id(one)]})" for one in self._steps[:20])
        self._tell("V1_UNKNOWN_STEP", message, "/phases", suggestion=f"the steps are {known}", error=True)

    def _share_times(self) -> None:
        """A heading's time is that of its steps together; a clock time (20-45 min) lasts from one end to the other."""
        ends: set[int] = set()
        for section in self._sections:
            holders: list[_Section | Step] = [section, *section.steps]
            for holder in holders:
                time = holder.time
                if time is not None and time.start is not None:
                    if time.start in ends and time.milliseconds > time.start:
                        holder.time = Time(time.milliseconds - time.start)
                    ends.add(time.milliseconds)

    def _phases(self, section: _Section, *, taken: Names, first: int) -> list[dict[str, Any]]:
        """The phases of one section: one, or one per level where its steps depend on each other."""
        inside = {self._ids[id(step)]: step for step in section.steps}
        plain_list = any(problem.code == "V1_SEQUENTIAL" for problem in self._problems)
        ranks = [list(inside)] if plain_list else levels(list(inside), self._after)
        if len(ranks) > 1:
            where = f' under "{section.heading}"' if section.heading else ""
            message = f"Steps{where} depend on each other and became {len(ranks)} phases"
            self._tell("V1_PHASES_INFERRED", message, f"/phases/{first}")
        names = phase_names(section.heading, [[inside[one].task for one in rank] for rank in ranks])
        phases: list[dict[str, Any]] = []
        for rank, name, barrier in zip(ranks, names, needs_all_before(ranks, self._after), strict=True):
            identity = taken.claim(phase_slug(name))
            pointer = f"/phases/{first + len(phases)}"
            phase: dict[str, Any] = {
                "id": identity,
                "name": shorten(name, _LONGEST_DESCRIPTION),
                "parallel": len(rank) > 1
                and not plain_list
                and not re.search(r"\bsequential", section.heading, re.IGNORECASE),
                "agents": [
                    self._node(inside[one], section, f"{pointer}/agents/{place}") for place, one in enumerate(rank)
                ],
            }
            if not barrier:
                phase["barrier"] = False
                self._tell(
                    "V1_NO_BARRIER",
                    "Its steps need only some of the steps before it; it does not wait for the rest",
                    pointer,
                )
            phases.append(phase)
        return phases

    def _node(self, step: Step, section: _Section, pointer: str) -> dict[str, Any]:
        here = self._ids[id(step)]
        task = step.task or f"Do the work of {step.agent}"
        if step.agent is None:
            message = f'Step {step.number} names no agent; "{DEFAULT_AGENT}" was taken'
            self._tell("V1_DEFAULT_AGENT", message, f"{pointer}/agentId")
        if step.time is not None:
            estimate = step.time.milliseconds
        elif section.time is not None:
            estimate = max(1, section.time.milliseconds // len(section.steps))
            message = f'Step {step.number} has no time; it got its share of "{section.heading}"'
            self._tell("V1_TIME_SHARED", message, f"{pointer}/estimatedTime")
        else:
            estimate = DEFAULT_TIME
            self._tell(
                "V1_DEFAULT_TIME", f"Step {step.number} has no time; one minute was taken", f"{pointer}/estimatedTime"
            )
        return {
            "id": here,
            "agentId": step.agent or DEFAULT_AGENT,
            "task": task,
            "dependencies": self._after[here],
            "estimatedTime": estimate,
        }


def suggest_agents(
    problems: tuple[Problem, ...], raw: dict[str, Any], agents: Collection[Agent]
) -> tuple[Problem, ...]:
    """*problems* with a guess at a registered agent wherever a step named none."""
    tasks = {
        f"/phases/{p}/agents/{n}/agentId": node["task"]
        for p, phase in enumerate(raw["phases"])
        for n, node in enumerate(phase["agents"])
    }
    return tuple(
        Problem(
            code=problem.code,
            severity=problem.severity,
            message=problem.message,
            pointer=problem.pointer,
            suggestion=f'perhaps "{guess}"',
        )
        if problem.code == "V1_DEFAULT_AGENT" and (guess := guess_agent(tasks[problem.pointer], agents))
        else problem
        for problem in problems
    )


def guess_agent(task: str, agents: Collection[Agent]) -> str | None:
    """The agent whose id and description share most words with *task*, the project's and the user's before all others.

    None where none shares any word of its id.
    """
    words = _stems(task)
    scored = [
        (
            agent.source not in _OWN,
            -3 * len(words & _stems(agent.id)) - len(words & _stems(agent.description)),
            agent.id,
        )
        for agent in agents
        if words & _stems(agent.id)
    ]
    return min(scored)[2] if scored else None


def _stems(text: str) -> set[str]:
    """The words of *text* by their first five letters: review, reviews and reviewer are one."""
    return {word[:5] for word in re.findall(r"[a-z]{4,}", text.casefold())}


def _command_name(title: str, stem: str) -> str:
    named = re.match(r"/([A-Za-z0-9_-]+)", title)
    return slug(named[1] if named else stem, words=50) or "command"


def _read(text: str) -> _Document:
    text = _without_comments(text.replace("\r\n", "\n").replace("\r", "\n"))
    document = _Document(sections=[_Section()])
    front = _FRONTMATTER.match(text)
    if front is not None:
        text = text[front.end() :]
        described = _DESCRIPTION_FIELD.search(front["body"])
        document.description = described["text"] if described else ""
    paragraph: list[str] = []
    item: tuple[int, str, list[str], int] | None = None
    steps = 0
    for number, line in _lines(text):
        heading, start = _HEADING.match(line), _ITEM.match(line)
        if item is not None and (heading or start or (line.strip() and not line.startswith((" ", "\t")))):
            document.sections[-1].steps.append(read_step(item[0], item[1], item[2], line=item[3]))
            item, steps = None, steps + 1
        if steps > _MOST_STEPS or len(document.sections) > _MOST_STEPS:
            message = f"The file has more than {_MOST_STEPS} steps or headings"
            raise InputError(message, code="FILE_TOO_LARGE", hint="split it into several commands")
        if heading is not None:
            _take_heading(document, heading)
        elif start is not None:
            item = (int(start["number"]), start["text"], [], number)
        elif item is not None and line.strip():
            item[2].append(line)
        if item is None and not steps:
            paragraph.append("" if heading or start else line.strip())
    if item is not None:
        document.sections[-1].steps.append(read_step(item[0], item[1], item[2], line=item[3]))
    first = re.split(r"\n{2,}", "\n".join(paragraph).strip())[0]
    document.description = _words(first) or document.description
    return document


def _take_heading(document: _Document, heading: re.Match[str]) -> None:
    text = _words(heading["text"])
    if len(heading["marks"]) == 1 and not document.title:
        document.title = text
        return
    time, rest = read_time(text)
    name = _PHASE_PREFIX.sub("", re.sub(r"[(\[]\s*[)\]]", "", rest)).strip(" :,-\u2013\u2014")
    document.sections.append(_Section(heading=name or text, time=time))


def _lines(text: str) -> Iterator[tuple[int, str]]:
    """The lines of *text* with their numbers, without those of code blocks."""
    fence = ""
    for number, line in enumerate(text.split("\n"), start=1):
        mark = _FENCE.match(line)
        if mark is not None and (not fence or mark[1].startswith(fence)):
            fence = "" if fence else mark[1]
            continue
        if not fence:
            yield number, line.expandtabs(4)


def _without_comments(text: str) -> str:
    """*text* without HTML comments; one that is not closed hides nothing."""
    kept: list[str] = []
    place = 0
    while (start := text.find("<!--", place)) >= 0 and (end := text.find("-->", start + 4)) >= 0:
        kept.append(text[place:start])
        place = end + 3
    return "".join([*kept, text[place:]])


def _words(text: str) -> str:
    """*text* on one line, without emphasis."""
    return re.sub(r"\s+", " ", re.sub(r"\*\*|__|`|^>\s*", "", text)).strip()
