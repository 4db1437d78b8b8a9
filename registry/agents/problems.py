"""What can be wrong with agent files, as data.

Pure. Nothing is logged or raised here: whoever lists agents or validates a command decides what to show.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class AgentProblemCode(StrEnum):
    """What is wrong; stable, for programs."""

    FILE_UNREADABLE = "AGENT_FILE_UNREADABLE"
    """No regular file, no permission, a broken symbolic link, or a file name that is not UTF-8."""
    FILE_OUTSIDE = "AGENT_FILE_OUTSIDE"
    """A symbolic link leads out of the project (of the home directory, for a user's agents)."""
    FILE_TOO_LARGE = "AGENT_FILE_TOO_LARGE"
    """Over 1 MB."""
    TOO_MANY_FILES = "AGENT_TOO_MANY_FILES"
    """More files, or folders inside each other, than are read; the rest is left out."""
    NOT_TEXT = "AGENT_NOT_TEXT"
    """Not UTF-8, or with NUL characters."""
    FRONTMATTER = "AGENT_FRONTMATTER"
    """The fields at the top are missing, not closed, doubled, too large, too deep, or use YAML aliases."""
    FRONTMATTER_REPAIRED = "AGENT_FRONTMATTER_REPAIRED"
    """Warning: the fields are no valid YAML; they were read all the same."""
    NAME_INVALID = "AGENT_NAME_INVALID"
    """The name cannot be an agent id."""
    NAME_MISSING = "AGENT_NAME_MISSING"
    """Warning: the file's name is the agent's id; Claude Code itself does not see such an agent."""
    DESCRIPTION_MISSING = "AGENT_DESCRIPTION_MISSING"
    """Warning: Claude Code itself does not see an agent without a description."""
    FIELD_INVALID = "AGENT_FIELD_INVALID"
    """A field holds what it cannot hold."""
    FIELD_MISSING = "AGENT_FIELD_MISSING"
    """`command` for a process agent, `callable` for a python agent."""
    SECRET_IN_FILE = "AGENT_SECRET_IN_FILE"  # noqa: S105 - a code
    """Warning: what the file spells out looks like a secret; it is kept in the journal, as all that the file says."""
    FIELD_UNKNOWN = "AGENT_FIELD_UNKNOWN"
    """Warning: neither Claude Code nor we know the field."""


class Severity(StrEnum):
    """What a problem means for its file."""

    ERROR = "error"
    """The file is not used."""
    WARNING = "warning"
    """The agent is used; something about it is worth knowing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentProblem:
    """One thing wrong with one agent file."""

    code: AgentProblemCode
    severity: Severity = Severity.ERROR
    message: str
    hint: str
    path: str
    """The file, or the folder that could not be listed; bytes that are no UTF-8 are escaped."""
    line: int | None = None
    """Line in the file, from 1, where it is known."""
    agent: str = ""
    """The id that the file's agent has or would have; empty where a folder or a limit is to blame."""

    def __str__(self) -> str:
        """One sentence for a list of notes: where, what, and what to do."""
        place = self.path if self.line is None else f"{self.path}:{self.line}"
        return f"{place}: {self.message}. {self.hint}" if self.hint else f"{place}: {self.message}"
