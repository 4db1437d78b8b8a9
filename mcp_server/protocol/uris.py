"""The URIs of resources: `orchestration://…`, built and parsed.

Pure. `contents.py` reads what is at a URI.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl, quote, unquote

if TYPE_CHECKING:
    from engine.ids import RunId


SCHEME: Final = "orchestration://"
COMMANDS: Final = f"{SCHEME}commands"
AGENTS: Final = f"{SCHEME}agents"
RUNS: Final = f"{SCHEME}runs"
SCHEMA: Final = f"{SCHEME}schemas/command-v2.json"
REFERENCES: Final = f"{SCHEME}references"
APP: Final = "ui://orchestration/run"
"""The live view of a run, for hosts of MCP Apps."""

COMMAND: Final = f"{COMMANDS}/{{name}}"
RUN: Final = f"{RUNS}/{{id}}"
OUTPUT: Final = f"{RUN}/outputs/{{key}}"
REFERENCE: Final = f"{REFERENCES}/{{topic}}"
RUNS_WHERE: Final = f"{RUNS}{{?state,command,since,grep}}"
NODE: Final = f"{RUN}/nodes/{{node}}"
LOG: Final = f"{NODE}/log"
PARTS: Final = ("report", "timeline", "diagram")
"""The parts of a run, beside its status and its outputs."""

_COMMAND = re.compile(re.escape(COMMANDS) + r"/([^/]+)")
_RUN = re.compile(
    re.escape(RUNS) + r"/([^/]+)(?:/(?:(" + "|".join(PARTS) + r")|outputs/(.+)|nodes/(.+?)(/log)?))?", re.DOTALL
)


def command_uri(name: str) -> str:
    """The URI of command *name*, which begins with a slash."""
    return f"{COMMANDS}/{quote(name.removeprefix('/'), safe='')}"


def command_of(uri: str) -> str | None:
    """The name, with its slash, of the command at *uri*."""
    found = _COMMAND.fullmatch(uri)
    return f"/{unquote(found[1])}" if found else None


def reference_of(uri: str) -> str | None:
    """The topic of the reference file at *uri*."""
    found = re.fullmatch(re.escape(REFERENCES) + r"/([a-z0-9-]+)", uri)
    return found[1] if found else None


def conditions_of(uri: str) -> dict[str, str] | None:
    """The conditions on the list of runs at *uri*; None if it is another one."""
    path, sign, query = uri.partition("?")
    return dict(parse_qsl(query)) if path == RUNS and sign else None


def run_of(uri: str) -> RunId | None:
    """The run that *uri* is about."""
    found = _RUN.fullmatch(uri)
    return unquote(found[1]) if found else None  # type: ignore[return-value]  # the engine checks it


def node_of(uri: str) -> tuple[str | None, bool]:
    """The node of a run at *uri*, perhaps with `#` and the number of an attempt, and whether its log is meant.

    A slash in its name may be encoded or not.
    """
    found = _RUN.fullmatch(uri)
    return (unquote(found[4]), found[5] is not None) if found and found[4] else (None, False)


def part_of(uri: str) -> tuple[str | None, str | None]:
    """The part of a run at *uri*, and the key of an output: both None for its status."""
    found = _RUN.fullmatch(uri)
    return (found[2], found[3]) if found else (None, None)
