"""Problems of agent files, as data.

Pure. Nothing is logged or raised here: the code that lists agents or validates a command decides what to show.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec


class AgentProblemCode(StrEnum):
    """The kind of a problem; stable, for programs."""

    FILE_UNREADABLE = "AGENT_FILE_UNREADABLE"
    """Not a regular file, no permission, a broken symbolic link, or a file name that is not UTF-8."""
    FILE_OUTSIDE = "AGENT_FILE_OUTSIDE"
    """A symbolic link points outside the project (or the home directory, for a user's agents)."""
    FILE_TOO_LARGE = "AGENT_FILE_TOO_LARGE"
    """Over 1 MB."""
    TOO_MANY_FILES = "AGENT_TOO_MANY_FILES"
    """More files, or levels of folders, than are read; the rest are left out."""
    NOT_TEXT = "AGENT_NOT_TEXT"
    """Not UTF-8, or NUL characters."""
    FRONTMATTER = "AGENT_FRONTMATTER"
    """The fields at the top are missing, not closed, duplicate, too large, too deep, or use YAML aliases."""
    FRONTMATTER_REPAIRED = "AGENT_FRONTMATTER_REPAIRED"
    """Warning: the fields are not valid YAML, but could be read."""
    NAME_INVALID = "AGENT_NAME_INVALID"
    """The name cannot be an agent id."""
    NAME_MISSING = "AGENT_NAME_MISSING"
    """Warning: the file's name is the agent's id; Claude Code itself does not see such an agent."""
    DESCRIPTION_MISSING = "AGENT_DESCRIPTION_MISSING"
    """Warning: Claude Code itself does not see an agent without a description."""
    FIELD_INVALID = "AGENT_FIELD_INVALID"
    """A field has an invalid value."""
    FIELD_MISSING = "AGENT_FIELD_MISSING"
    """`command` for a process agent, `callable` for a python agent."""
    SECRET_IN_FILE = "AGENT_SECRET_IN_FILE"  # noqa: S105 - a code
    """Warning: the file seems to contain a secret, which is kept in the journal with the rest of the file."""
    FIELD_UNKNOWN = "AGENT_FIELD_UNKNOWN"
    """Warning: neither Claude Code nor the engine knows the field."""


class Severity(StrEnum):
    """The effect of a problem on its file."""

    ERROR = "error"
    """The file is not used."""
    WARNING = "warning"
    """The agent is used, with a remark."""


class AgentProblem(msgspec.Struct, frozen=True, kw_only=True):
    """One problem of one agent file."""

    code: AgentProblemCode
    severity: Severity = Severity.ERROR
    message: str
    hint: str
    path: str
    """The file, or the folder that could not be listed; bytes that are not UTF-8 are escaped."""
    line: int | None = None
    """Line in the file, from 1, if known."""
    agent: str = ""
    """The id that the file's agent has or would have; empty for a problem of a folder or a limit."""

    def __str__(self) -> str:
        """The place, the message and the hint, for a list of notes."""
        place = self.path if self.line is None else f"{self.path}:{self.line}"
        return f"{place}: {self.message}. {self.hint}" if self.hint else f"{place}: {self.message}"
