"""Parses the text of one agent file to an `Agent`, or reports its faults.

Pure. The format is Claude Code's, with our additional fields. `registry/agents/load.py` finds the files.

A field of the wrong type makes the file unusable. Claude Code ignores such a field, but an agent whose `tools` cannot
be read would then run with all of them.
"""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING, Any, TypeVar

from msgspec import structs

from engine.executors.claude.tools import KNOWN
from engine.model.agent import Agent, AgentKind, AgentSource, tool_name
from registry.agents import fields, programs
from registry.agents.problems import AgentProblem, AgentProblemCode, Severity
from registry.agents.secrets import spelled_secrets
from registry.files.frontmatter import Frontmatter, FrontmatterError, read_frontmatter
from registry.naming import closest, is_spelling_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from registry.files.frontmatter import Value

RESERVED_ID = "command"
"""An `agentId` of this name runs a sub-command, so no agent can have it."""

_ID = re.compile(r"\w[\w .-]{0,63}")
"""Stricter than Claude Code's names (it refuses `:` and a leading `-`): ids appear in URIs and on command lines."""

_YAML_SCALAR = re.compile(r"[0-9][0-9._e+-]*|true|false", re.IGNORECASE)
"""Texts that YAML reads as a number or boolean; Claude Code needs a name to be text."""

Result = TypeVar("Result")


def read_agent(
    text: str, *, path: str, stem: str, source: AgentSource
) -> tuple[Agent | None, tuple[AgentProblem, ...]]:
    """The agent that *text* describes and its problems; no agent if one of them is an error.

    *stem* is the file's name without its ending, the id of an agent without `name`. A file without fields whose name is
    in capitals, such as README.md, is neither an agent nor a problem.
    """
    try:
        front = read_frontmatter(text, known=fields.FIELDS, free_text={"description"}, typed=fields.TYPED)
    except FrontmatterError as error:
        if error.code == "NO_FRONTMATTER" and stem.isupper():
            return None, ()
        code, line = AgentProblemCode.FRONTMATTER, error.line or None
        hint = error.hint or ""
        return None, (AgentProblem(code=code, message=error.message, hint=hint, path=path, line=line, agent=stem),)
    reading = _Reading(front, path=path)
    agent = reading.agent(stem=stem, source=source)
    failed = any(problem.severity is Severity.ERROR for problem in reading.problems)
    return None if failed else agent, tuple(structs.replace(problem, agent=agent.id) for problem in reading.problems)


class _Reading:
    """One file being read, field by field, so that all problems are found, not only the first."""

    def __init__(self, front: Frontmatter, *, path: str) -> None:
        self.problems: list[AgentProblem] = []
        self._front = front
        self._path = path

    def agent(self, *, stem: str, source: AgentSource) -> Agent:
        """The agent as far as it can be read; valid only if no problem is an error."""
        self._warn_of_the_form()
        take = self._take
        kind = AgentKind(take("executor", lambda value: fields.choice(value, fields.EXECUTORS)) or AgentKind.CLAUDE)
        agent = Agent(
            id=self._id(stem),
            kind=kind,
            source=source,
            description=take("description", fields.text) or "",
            prompt=self._front.body,
            path=self._path,
            model=take("model", fields.argument),
            tools=self._tools(),
            disallowed_tools=take("disallowedTools", fields.disallowed_tools) or (),
            permission_mode=take("permissionMode", lambda value: fields.choice(value, fields.PERMISSION_MODES)),
            max_turns=take("maxTurns", fields.integer),
            max_budget_usd=take("maxBudgetUsd", fields.dollars),
            effort=take("effort", fields.argument),
            isolation=take("isolation", lambda value: fields.choice(value, fields.ISOLATIONS)),
            mcp_servers=take("mcpServers", fields.names) or (),
            inline_servers=take("mcpServers", programs.inline_servers) or {},
            skills=take("skills", fields.names) or (),
            hooks=take("hooks", programs.hooks) or {},
            handed_on=self._handed_on(),
            command=take("command", fields.command) or (),
            callable=take("callable", fields.python_callable),
            timeout=take("timeoutMs", fields.duration),
            idle_timeout=take("idleTimeoutMs", fields.duration),
            keep_processes=take("keepProcesses", fields.boolean) or False,
            ignores_project=take("ignoreProject", fields.boolean) or False,
            known_to_claude_code=source is not AgentSource.PACKAGED and self._read_by_claude_code(),
            env=take("env", fields.environment) or {},
            labels=take("labels", fields.labels) or (),
        )
        self._check_executor(kind)
        self._warn_of_secrets(agent)
        return agent

    def _take(self, key: str, convert: Callable[[Value], Result]) -> Result | None:
        value = self._front.fields.get(key)
        if value is None:
            return None
        try:
            return convert(value)
        except fields.FieldError as error:
            self._tell(AgentProblemCode.FIELD_INVALID, f"`{key}` {error.message}", error.hint or "")
            return None

    def _tools(self) -> tuple[str, ...] | None:
        """The value of `tools`: an empty value means no tools, and only a missing field means all of them."""
        if self._front.fields.get("tools", ()) is None:
            return ()
        found = self._take("tools", fields.tools)
        odd = [tool for tool in found or () if not fields.may_be_tool(tool)]
        if found and odd and len(odd) < len(found):
            # Ignoring it only takes a tool from the agent, so the rest of the file can be used.
            named = ", ".join(repr(tool[:60]) for tool in odd[:5])
            message = f"`tools` has {named}, which cannot be a tool's name; the agent runs without it"
            self._warn(AgentProblemCode.FIELD_INVALID, message, "Write `tools: Read, Grep`.")
            found = tuple(tool for tool in found if fields.may_be_tool(tool))
        elif odd:
            message = f"`tools` has {odd[0][:60]!r}, which cannot be a tool"
            self._tell(AgentProblemCode.FIELD_INVALID, message, "Write `tools: Read, Grep, Bash(git diff:*)`.")
            return found
        if found and not any(tool.startswith("mcp__") or tool_name(tool) in KNOWN for tool in found):
            near = closest(tool_name(found[0]), KNOWN)
            hint = f"Did you mean {near}?" if near else "Write `tools: Read, Grep, Glob`."
            message = f"`tools` does not name any tool of Claude Code: {', '.join(found[:5])}"
            self._tell(AgentProblemCode.FIELD_INVALID, message, hint)
        return found

    def _handed_on(self) -> dict[str, Any]:
        """Fields with a meaning only for Claude Code, under its own names."""
        take = self._take
        found = {
            "memory": take("memory", lambda value: fields.choice(value, fields.MEMORIES)),
            "initialPrompt": take("initialPrompt", fields.text),
            "background": take("background", fields.boolean),
            "omitClaudeMd": take("omitClaudeMd", fields.boolean),
            "autoCompactWindow": take("autoCompactWindow", fields.window),
            "observer": take("observer", fields.text),
            "observerMessage": take("observerMessage", fields.text),
            "observeSubagents": take("observeSubagents", fields.boolean),
            "observeToolResults": take("observeToolResults", fields.boolean),
        }
        return {key: value for key, value in found.items() if value is not None}

    def _id(self, stem: str) -> str:
        written = self._take("name", fields.text) if "name" in self._front.fields else None
        if self._front.fields.get("name") is None:
            message = f"the agent has no name, so its id is the file's: {stem}"
            self._warn(
                AgentProblemCode.NAME_MISSING, message, "Add `name:`; Claude Code itself ignores agents without one."
            )
            written = stem
        if written is None:
            return ""
        name = unicodedata.normalize("NFC", written)
        if not _ID.fullmatch(name):
            hint = "Use letters, digits, - and _, at most 64 of them."
            self._tell(AgentProblemCode.NAME_INVALID, f"{name[:80]!r} cannot be an agent's name", hint)
        elif name == RESERVED_ID:
            hint = "Choose another name."
            self._tell(AgentProblemCode.NAME_INVALID, f"the name {name!r} stands for running a sub-command", hint)
        return name

    def _check_executor(self, kind: AgentKind) -> None:
        for needed_by in AgentKind:
            key = needed_by.traits.field
            if key is None:
                continue
            written = self._front.fields.get(key) is not None
            if kind is needed_by and not written:
                message = f"a {kind.value} agent needs `{key}`"
                self._tell(AgentProblemCode.FIELD_MISSING, message, f"Add `{key}:` below `executor: {kind.value}`.")
            elif kind is not needed_by and written:
                # Ignored silently, the work would go to a model that was never meant to do it.
                message = f"`{key}` is for {needed_by.value} agents, but this is a {kind.value} agent"
                self._tell(
                    AgentProblemCode.FIELD_INVALID, message, f"Write `executor: {needed_by.value}`, or remove `{key}`."
                )

    def _warn_of_secrets(self, agent: Agent) -> None:
        for found in spelled_secrets(agent):
            message = f"{found.said}, and the content of the file is kept in journals"
            hint = f"Write {found.instead}, and set the variable where you start the program."
            self._warn(AgentProblemCode.SECRET_IN_FILE, message, hint)

    def _read_by_claude_code(self) -> bool:
        named = all(isinstance(self._front.fields.get(key), str) for key in ("name", "description"))
        text = not _YAML_SCALAR.fullmatch(str(self._front.fields.get("name")))
        return named and text and self._front.read_by_claude_code

    def _warn_of_the_form(self) -> None:
        if self._front.repaired:
            message = "the fields at the top are not valid YAML; they were read line by line"
            if not self._front.read_by_claude_code:
                message += ", which Claude Code itself does not do: it ignores the file"
            hint = "Put values with a colon in double quotes, or indent long ones below `description: |`."
            self._warn(AgentProblemCode.FRONTMATTER_REPAIRED, message, hint)
        for key in self._front.fields:
            if key in fields.NO_EFFECT:
                message = f"the field `{key}` has no effect on an agent that a command starts"
                self._warn(AgentProblemCode.FIELD_UNKNOWN, message, "Remove it, or keep it for Claude Code itself.")
            elif key not in fields.FIELDS and not key.startswith("x-"):
                self._tell_unknown(key)
        if self._front.fields.get("description") is None:
            hint = "Say in `description:` when to use it; Claude Code itself ignores agents without one."
            self._warn(AgentProblemCode.DESCRIPTION_MISSING, "the agent has no description", hint)

    def _tell_unknown(self, key: str) -> None:
        if key in programs.EVENTS:
            message = f"`{key}` is a hook event, not a field, so it has no effect here"
            self._tell(AgentProblemCode.FIELD_INVALID, message, f"Indent `{key}:` below `hooks:`.")
            return
        meant = fields.MISNOMERS.get(key) or closest(key, fields.FIELDS)
        message = f"unknown field `{key[:60]}`"
        if meant in fields.GUARDS and (key in fields.MISNOMERS or is_spelling_of(key, meant)):
            message += ", and the agent would run without that limit"
            self._tell(AgentProblemCode.FIELD_INVALID, message, f"Write `{meant}:` instead of `{key[:60]}:`.")
            return
        hint = f"Did you mean {meant}?" if meant else "Remove it, or start its name with x-."
        self._warn(AgentProblemCode.FIELD_UNKNOWN, message, hint)

    def _tell(self, code: AgentProblemCode, message: str, hint: str) -> None:
        self.problems.append(AgentProblem(code=code, message=message, hint=hint, path=self._path))

    def _warn(self, code: AgentProblemCode, message: str, hint: str) -> None:
        severity = Severity.WARNING
        self.problems.append(AgentProblem(code=code, severity=severity, message=message, hint=hint, path=self._path))
