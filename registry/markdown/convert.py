"""Converts a v1 markdown command to a v2 definition, and reports everything that it had to infer (SPEC 12).

Pure. `outline.py` finds the steps, `steps.py` reads one, and the validator checks the result.

Steps run in the order of their numbers. They run in parallel only if the text says so: by dependencies, by a
heading, or as a list without numbers in which every item names an agent. Nothing is lost: every node reads the prose
as `instructions`, and a step's node reads the text below the step as `NODE-details`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import msgspec

from engine.errors import InputError
from engine.text.cut import shorten, some
from engine.validation import Problem, Severity
from registry.markdown.blocks import Document, plain, read_document
from registry.markdown.lists import is_process
from registry.markdown.outline import outline_of
from registry.markdown.phases import levels, needs_all_before, phase_names
from registry.markdown.refusal import no_sign, no_steps
from registry.markdown.shapes import Group, Kind, Outline
from registry.markdown.steps import Step, Time
from registry.wording import Names, node_slug, phase_slug, slug

if TYPE_CHECKING:
    from collections.abc import Iterator

DEFAULT_AGENT = "general-assistant"
DEFAULT_TIME = 60_000
INSTRUCTIONS = "instructions"
"""The context key of the prose around the steps."""
_MAX_DESCRIPTION_LENGTH = 200
_MAX_STEPS = 2000
_MAX_LINES = 8
"""Lines that one warning names."""
_PROMPT_FIELDS = frozenset(
    {"argument-hint", "allowed-tools", "model", "description", "disable-model-invocation", "hooks", "tools", "name"}
)
"""Fields of Claude Code at the top of a file: without any sign of a v1 command, the file is a prompt."""
_WITHOUT_EFFECT = {
    "allowed-tools": "the tools are those of each agent's file",
    "tools": "the tools are those of each agent's file",
    "model": "the model is that of each agent's file",
    "effort": "the effort is that of each agent's file",
    "agent": "each step has an agent of its own",
    "hooks": "hooks belong in an agent's file",
}
_NOT_CARRIED = (
    (
        re.compile(r"(?<![\w$\\])\$\d(?![\d.,]*\d)\b|\$ARGUMENTS\[\d+\]"),
        "is not filled in; the node reads the whole text as the input `arguments`",
    ),
    (re.compile(r"\$\{CLAUDE_[A-Z_]+\}"), "is not filled in; the agent reads it as written"),
    (re.compile(r"(?<![\w`])!`[^`\n]+`"), "is not run beforehand; the agent reads it as written"),
    (
        re.compile(r"(?<![\w`@/.])@(?:(?:\.{0,2}|~)/)?\.?[\w-]+(?:[./]+[\w-]+)+"),
        "is not inserted beforehand; the agent reads it as written",
    ),
)


class Converted(msgspec.Struct, frozen=True):
    """A v1 command as v2."""

    definition: dict[str, Any]
    problems: tuple[Problem, ...]
    """Everything inferred; pointers refer to `definition`, places are lines of the file."""
    sign: bool
    """Whether something in the file marks it as a command: lists leave out other files."""


def convert(text: str, *, stem: str) -> Converted:
    """The v2 definition of v1 command *text*; *stem* is its file's name without ending.

    Raises InputError (NOT_A_COMMAND) for prose without steps and for prompts of Claude Code.
    """
    document = read_document(text)
    outline = outline_of(document)
    steps = outline.steps
    if len(steps) > _MAX_STEPS:
        message = f'"{stem}.md" has more than {_MAX_STEPS} steps'
        raise InputError(message, code="FILE_TOO_LARGE", hint="Split it into sub-commands.")
    sign = document.title.startswith("/") or any(
        step.agent or step.names_agents or step.time or step.after for step in steps
    )
    prompt = bool(_PROMPT_FIELDS & document.fields.keys())
    sign = sign or (not prompt and any(group.time for group in outline.groups))
    if steps and not sign and prompt:
        raise no_sign(stem)
    if not steps:
        raise no_steps(stem, outline, prompt=prompt)
    return _Conversion(document, outline, "/" + _command_name(document.title, stem), sign=sign).result()


class _Conversion:
    """One conversion, which collects everything inferred."""

    def __init__(self, document: Document, outline: Outline, name: str, *, sign: bool) -> None:
        self._document = document
        self._outline = outline
        self._groups = outline.groups
        self._name = name
        self._sign = sign
        self._steps = outline.steps
        self._problems: list[Problem] = []
        self._initial: dict[str, str] = {}
        self._ids = self._name_steps()
        self._after = self._order()

    def result(self) -> Converted:
        description = self._describe()
        self._report_outline()
        self._share_times()
        phases: list[dict[str, Any]] = []
        taken = Names()
        for group in self._groups:
            phases += self._phases(group, taken=taken, first=len(phases))
        definition: dict[str, Any] = {"version": "2.0.0", "name": self._name, "description": description}
        if self._initial:
            definition["globalContext"] = {"initial": self._initial}
        return Converted({**definition, "phases": phases}, tuple(self._problems), self._sign)

    def _report(
        self,
        code: str,
        message: str,
        pointer: str = "/phases",
        *,
        line: int | None = None,
        suggestion: str | None = None,
        error: bool = False,
    ) -> None:
        severity = Severity.ERROR if error else Severity.WARNING
        place = None if line is None else f"{line}:1"
        self._problems.append(Problem(code, severity, message, pointer, suggestion, place))

    def _report_outline(self) -> None:
        """Report the parts that were left out, attached to a step, or have no effect."""
        if not self._sign:
            message = "Nothing in the file says that it is a v1 command, so lists leave it out"
            hint = "Give it a title such as `# /name`, or steps with agents, times or dependencies."
            self._report("V1_NO_SIGN", message, "/name", line=1, suggestion=hint)
        for note in self._outline.notes:
            if note.kind is Kind.CONDITIONAL:
                self._report(
                    "V1_CONDITIONAL", note.what, line=note.line, suggestion="Write a skip condition in a v2 file."
                )
            else:
                it = (
                    "A numbered list is not read as steps: it"
                    if note.kind is Kind.LIST
                    else "Numbered headings are not read as steps: they"
                )
                self._report("V1_LIST_PASSED_OVER", f"{it} {note.what}", line=note.line)
        for note in self._outline.unnumbered:
            if note.lost:
                self._report("V1_LIST_PASSED_OVER", f"A list is not read as steps: it {note.what}", line=note.line)
        self._report_lost()
        for name, (_, line) in self._document.fields.items():
            if name in _WITHOUT_EFFECT:
                self._report("V1_NOT_CARRIED", f"`{name}` has no effect here: {_WITHOUT_EFFECT[name]}", "", line=line)
        for pattern, what in _NOT_CARRIED:
            found = [
                (number, match.group())
                for number, line in enumerate(self._document.text.split("\n"), start=1)
                for match in pattern.finditer(line)
            ]
            if found:
                named = some([f"{text} (line {number})" for number, text in found], _MAX_LINES)
                self._report("V1_NOT_CARRIED", f"{named}: {what}", "", line=found[0][0])

    def _report_lost(self) -> None:
        """Report an error if most of the possible steps are in no task: the command would differ from the text."""
        found = any(is_process(group.heading) for group in self._groups)
        doubtful = [] if found else self._outline.unnumbered
        lost = [note for note in (*self._outline.notes, *doubtful) if note.lost]
        total = sum(note.lost for note in lost)
        if total > len(self._steps):
            named = "; ".join(str(note) for note in lost[:_MAX_LINES])
            message = f"{total} items that may be steps reach no task, and only {len(self._steps)} do: {named}"
            hint = "Make a command from each of these parts, or remove the numbers from lists that are not steps."
            self._report("V1_STEPS_LOST", message, line=lost[0].line, suggestion=hint, error=True)

    def _describe(self) -> str:
        """The frontmatter's description, or else the first paragraph; a shortened one goes to the nodes in full."""
        paragraph = self._document.paragraph()
        written = self._document.fields.get("description", ("", 0))[0]
        found = written or paragraph or self._document.title.lstrip("/")
        if not (written or paragraph):
            self._report("V1_NO_DESCRIPTION", "No paragraph describes the command; its title was used", "/description")
        text = found or self._name
        if len(text) > _MAX_DESCRIPTION_LENGTH:
            message = f"The description has {len(text)} characters and was cut at {_MAX_DESCRIPTION_LENGTH}"
            self._report("V1_DESCRIPTION_CUT", message, "/description")
        described = shorten(text, _MAX_DESCRIPTION_LENGTH)
        prose = list(self._outline.prose)
        if prose and paragraph == described and "$" not in paragraph and _first_is(prose, paragraph):
            del prose[0]
        if prose:
            self._initial[INSTRUCTIONS] = "\n\n".join(prose)
        return described

    def _name_steps(self) -> dict[int, str]:
        """An id for each step: from the task's words, so that changes of other steps do not affect it."""
        ids: dict[int, str] = {}
        taken = Names()
        for group in self._groups:
            for step in group.steps:
                wanted = node_slug(step.head or step.agent or "")
                if wanted in taken:
                    more = [slug(step.agent or ""), slug(group.heading)]
                    others = [f"{wanted}-{word}" for word in more if word]
                    wanted = next((other for other in others if other not in taken), wanted)
                ids[id(step)] = taken.claim(wanted)
        return ids

    # --- order -------------------------------------------------------------------------------------------------------

    def _order(self) -> dict[str, list[str]]:
        """The ids that each id depends on."""
        after: dict[str, list[str]] = {}
        for place, group in enumerate(self._groups):
            inferred: list[Step] = []
            before = ""
            for step in group.steps:
                here = self._ids[id(step)]
                found = [self._by_number(number, step, place) for number in step.after]
                found += [self._by_name(name, step) for name in step.after_names]
                after[here] = list(dict.fromkeys(one for one in found if one is not None))
                if before and not group.parallel and not step.says_order:
                    after[here] = [before]
                    inferred.append(step)
                before = here
            self._report_order(group, inferred)
        return after

    def _report_order(self, group: Group, inferred: list[Step]) -> None:
        """Report where the text leaves the order open, and the order used."""
        where = f'under "{group.heading}"' if group.heading else "of the list"
        line = group.steps[0].line
        if group.parallel and len(group.steps) > 1:
            message = f"The {len(group.steps)} steps {where} run in parallel unless the text orders them"
            self._report(
                "V1_PARALLEL",
                message,
                line=line,
                suggestion="Number them, and do not mention parallel, to run them in order.",
            )
        elif inferred and len(inferred) == len(group.steps) - 1:
            message = f"The steps {where} run one after the other, as written"
            hint = "Write (depends on 1) if a step needs another, or say in the heading that they run in parallel."
            self._report("V1_SEQUENTIAL", message, line=line, suggestion=hint)
        elif inferred:
            named = ", ".join(f"{step.number} (line {step.line})" for step in inferred[:_MAX_LINES])
            message = f"The text does not order these steps {where}, so each follows the one before it: {named}"
            self._report("V1_SEQUENTIAL", message, line=inferred[0].line, suggestion="Write their dependencies.")

    def _by_number(self, number: int, step: Step, place: int) -> str | None:
        """The step with *number*: under the same heading, or else the nearest heading before, or else any."""
        near = [*range(place, -1, -1), *range(place + 1, len(self._groups))]
        for index in near:
            steps = self._groups[index].steps
            printed = [one for one in steps if one.number == number and one is not step]
            if len({one.number for one in steps}) < len(steps):  # some people number 1. 1. 1.
                printed = [one for one in steps[number - 1 : number] if one is not step]
            if printed:
                return self._ids[id(printed[0])]
        self._unknown(step, f"step {number}")
        return None

    def _by_name(self, name: str, step: Step) -> str | None:
        """The step that *name* refers to: by its id, its agent, or the start of its task."""
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
        self._report("V1_UNKNOWN_STEP", message, "/phases", suggestion=f"Known steps: {known}.", error=True)

    def _share_times(self) -> None:
        """A heading's time is shared by its steps; clock times continue from one that starts at 0."""
        outer = inner = 0
        for group in self._groups:
            inner = outer or inner
            outer = _read_clock(group, outer)
            for step in group.steps:
                inner = _read_clock(step, inner)

    # --- phases ------------------------------------------------------------------------------------------------------

    def _phases(self, group: Group, *, taken: Names, first: int) -> list[dict[str, Any]]:
        """The phases of one group: one, or one per level if some of its steps can run in parallel."""
        inside = {self._ids[id(step)]: step for step in group.steps}
        ranks = levels(list(inside), self._after)
        if all(len(rank) == 1 for rank in ranks):
            ranks = [list(inside)]
        if len(ranks) > 1:
            where = f' under "{group.heading}"' if group.heading else ""
            message = f"Steps{where} depend on each other and became {len(ranks)} phases"
            self._report("V1_PHASES_INFERRED", message, f"/phases/{first}", line=group.steps[0].line)
        names = phase_names(group.heading, [[inside[one].task for one in rank] for rank in ranks])
        phases: list[dict[str, Any]] = []
        for rank, name, barrier in zip(ranks, names, needs_all_before(ranks, self._after), strict=True):
            pointer = f"/phases/{first + len(phases)}"
            ordered = any(need in inside and need in rank for one in rank for need in self._after[one])
            nodes = [self._node(inside[one], group, f"{pointer}/agents/{place}") for place, one in enumerate(rank)]
            phase: dict[str, Any] = {
                "id": taken.claim(phase_slug(name)),
                "name": shorten(name, _MAX_DESCRIPTION_LENGTH),
                "parallel": len(rank) > 1 and not ordered,
                "agents": nodes,
            }
            if not barrier:
                phase["barrier"] = False
                message = "Its steps need only some of the earlier steps; it does not wait for the others"
                self._report("V1_NO_BARRIER", message, pointer, line=group.line)
            phases.append(phase)
        return phases

    def _node(self, step: Step, group: Group, pointer: str) -> dict[str, Any]:
        here = self._ids[id(step)]
        if step.agent is None:
            message = f'Step {step.number} does not name an agent; "{DEFAULT_AGENT}" was used'
            self._report("V1_DEFAULT_AGENT", message, f"{pointer}/agentId", line=step.line)
        return {
            "id": here,
            "agentId": step.agent or DEFAULT_AGENT,
            "task": step.task or f"Do the work of {step.agent}",
            "dependencies": self._after[here],
            "estimatedTime": self._estimate(step, group, f"{pointer}/estimatedTime"),
            "context": {"inputs": list(self._inputs(step, here))},
        }

    def _inputs(self, step: Step, here: str) -> Iterator[dict[str, Any]]:
        if INSTRUCTIONS in self._initial:
            yield {"key": INSTRUCTIONS}
        if step.details:
            self._initial[f"{here}-details"] = step.details
            yield {"key": f"{here}-details"}
        yield {"key": "arguments", "required": False}

    def _estimate(self, step: Step, group: Group, pointer: str) -> int:
        if step.time is not None:
            return step.time.milliseconds
        if group.time is not None:
            message = f'Step {step.number} has no time; it got its share of "{group.heading}"'
            self._report("V1_TIME_SHARED", message, pointer, line=step.line)
            return max(1, group.time.milliseconds // len(group.steps))
        message = f"Step {step.number} has no time; one minute was used"
        self._report("V1_DEFAULT_TIME", message, pointer, line=step.line)
        return DEFAULT_TIME


def _first_is(prose: list[str], paragraph: str) -> bool:
    return plain(prose[0]) == paragraph


def _command_name(title: str, stem: str) -> str:
    named = re.match(r"/(\S+)", title)
    return slug(named[1] if named else stem, words=50) or "command"


def _read_clock(holder: Group | Step, now: int) -> int:
    """Turn a clock time (20-45 min) into the duration from *now* to its end, and return that end; 0 if it is none."""
    time = holder.time
    if time is None or time.start is None:
        return now
    if time.start not in {0, now}:
        return 0
    holder.time = Time(time.milliseconds - time.start)
    return time.milliseconds
