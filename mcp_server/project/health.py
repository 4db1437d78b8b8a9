"""The needs of a project that runs commands, checked one by one: nothing is started but `claude --version`.

Effects: reads files of the project and the user, asks the disk for its free room, and starts Claude Code for its
version, unless the project's own choice of that program waits for a yes.
"""

from __future__ import annotations

import functools
import os
import platform
import re
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from engine.errors import OrchestrationError
from engine.executors.claude.executor import find_program
from engine.executors.claude.mcp_servers import MCP_FILE, configured_servers, is_readable
from engine.graph.expand import named_agents
from engine.model.agent import AgentKind, AgentSource
from engine.statefolder.guard import Standing, look_at
from engine.statefolder.location import locate
from engine.storage.database import faults
from engine.text.cut import some
from mcp_server import twins
from mcp_server.project.claude_settings import ClaudeSettings
from mcp_server.project.preflight import preflight
from mcp_server.project.project import open_catalog
from mcp_server.project.settings import load_settings
from mcp_server.project.trusted import PROGRAM, open_trust
from mcp_server.version import version
from registry.agents.plugins import configuration, plugins_of
from registry.commands import CommandSource
from registry.packaged import scanners
from registry.packaged.extras import EXTRAS, how_to_install

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from engine.model.agent import Agent
    from mcp_server.project.settings import Settings
    from mcp_server.project.trusted import Trust
    from registry.catalog import Catalog

OK, NOTE, BROKEN = "ok", "note", "broken"
TESTED = (2, 1, 197)
"""The oldest version of Claude Code that is tested."""
VERSION_SECONDS = 20
LOW_BYTES, NO_BYTES = 1_000_000_000, 50_000_000
NAMED = 12
PLUGIN = "orchestration"
"""The name of our plugin."""
_VERSION = re.compile(r"(\d+)\.(\d+)\.(\d+)")


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """The result of one check."""

    topic: str
    state: str
    """`ok`, `note` or `broken`."""
    text: str
    hint: str = ""


class Patient:
    """One project, with what the checks look at."""

    def __init__(self, root: Path, home: Path) -> None:
        """Raises `InputError` for a broken settings file."""
        self.root = root
        self.home = home
        self.settings: Settings = load_settings(root)
        self.catalog: Catalog = open_catalog(root, self.settings, home=home)
        self.trust: Trust = open_trust(self.catalog, self.settings, home=home)
        self.agents: Mapping[str, Agent] = self.catalog.agents().agents
        self.program = self._claude()

    def _claude(self) -> str | None:
        """The Claude Code of model agents, if it may be started."""
        if not self.trust.accepts(self.trust.setting(PROGRAM)):
            return None
        return find_program(self.root, self.settings.claude_program)

    @functools.cached_property
    def named(self) -> set[str]:
        """The agents that the project's own commands name."""
        found: set[str] = set()
        with self.catalog.listed_once():
            for one in self.catalog.commands():
                if one.source is CommandSource.PROJECT and one.problem is None and one.shadowed_by is None:
                    definition = self.catalog.load(str(one.path)).definition
                    found |= set(named_agents(definition)) if definition is not None else set()
        return found


def examine(root: Path, *, home: Path | None = None) -> list[Finding]:
    """All findings about the project at *root*; a check that fails is a finding too."""
    found = [*_installed()]
    try:
        patient = Patient(root, home or Path.home())
    except OrchestrationError as error:
        return [*found, _fault("settings", error)]
    checks: tuple[tuple[str, Callable[[Patient], Iterator[Finding]]], ...] = (
        ("fleet", _fleet),
        ("claude", _claude),
        ("agents", _agents),
        ("trust", _trust),
        ("state", _state),
        ("room", _room),
        ("servers", _servers),
    )
    for topic, check in checks:
        try:
            found += check(patient)
        except OrchestrationError as error:
            found.append(_fault(topic, error))
    return found


def _fault(topic: str, error: OrchestrationError) -> Finding:
    return Finding(topic=topic, state=BROKEN, text=f"{error.code}: {error.message}", hint=error.hint or "")


def _installed() -> Iterator[Finding]:
    where = Path(__file__).parents[2]
    text = f"orchestration-mcp {version()} in {where}, Python {platform.python_version()} on {platform.system()}"
    yield Finding(topic="installed", state=OK, text=text)
    wanted = sorted({package for packages in scanners.SCANNERS.values() for package in packages})
    if missing := [package for package in wanted if not scanners.is_installed(package)]:
        text = f"/review-repo lacks its scanners: {', '.join(missing)}"
        yield Finding(topic="installed", state=NOTE, text=text, hint=how_to_install(scanners.EXTRA))


def _fleet(patient: Patient) -> Iterator[Finding]:
    where = patient.settings.fleet.connect
    if where is None:
        return
    if scanners.is_installed(EXTRAS["fleet"]):
        yield Finding(topic="fleet", state=OK, text=f"runs use the fleet at {where}")
    else:
        text = f"runs use the fleet at {where}, and the packages for it are not installed"
        yield Finding(topic="fleet", state=BROKEN, text=text, hint=how_to_install("fleet"))


def _claude(patient: Patient) -> Iterator[Finding]:
    if not patient.trust.accepts(patient.trust.setting(PROGRAM)):
        text = f"{PROGRAM} in the project's settings waits for your yes"
        yield Finding(topic="claude", state=NOTE, text=text, hint="`orchestrate trust` shows it.")
        return
    models = sorted(name for name in patient.named & patient.agents.keys() if _is_model(patient.agents[name]))
    if patient.program is None:
        what = patient.settings.claude_program or "claude"
        fleet = patient.settings.fleet
        elsewhere = fleet.connect is not None and AgentKind.CLAUDE in fleet.agents
        yield Finding(
            topic="claude",
            state=BROKEN if models and not elsewhere else NOTE,
            text=f"{what} was not found" + (f", and commands need it for {some(models, NAMED)}" if models else ""),
            hint="Install Claude Code (npm install -g @anthropic-ai/claude-code), or name it as claude_program in "
            ".claude/orchestration.toml.",
        )
        return
    said = _version_of(patient.program)
    number = _VERSION.search(said)
    if number is None:
        text = f"{patient.program} --version printed no version: {said[:200] or 'nothing'}"
        yield Finding(topic="claude", state=BROKEN, text=text, hint="Install Claude Code again.")
        return
    old = tuple(map(int, number.groups())) < TESTED
    text = f"Claude Code {number[0]} in {patient.program}"
    if old:
        text += f", older than {'.'.join(map(str, TESTED))}, the oldest that is tested"
    yield Finding(
        topic="claude", state=NOTE if old else OK, text=text, hint="Update it: `claude update`." if old else ""
    )


def _version_of(program: str) -> str:
    try:
        done = subprocess.run(  # noqa: S603 - the user's own program, or one that has a yes
            [program, "--version"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=VERSION_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"{type(error).__name__}"
    return done.stdout.decode("utf-8", "replace").strip()


def _agents(patient: Patient) -> Iterator[Finding]:
    """Agents that cannot run, and why."""
    found = patient.catalog.agents()
    faults = 0
    for name, problem in found.unusable.items():
        faults += 1
        yield Finding(
            topic="agents", state=BROKEN, text=f'"{name}": {problem.message} ({problem.path})', hint=problem.hint
        )
    for name, agent in found.agents.items():
        if why := _why_not(agent, patient.root):
            faults += 1
            yield Finding(topic="agents", state=BROKEN, text=f'"{name}": {why} ({agent.path})')
    if not faults:
        yield Finding(topic="agents", state=OK, text=f"{len(found.agents)} agents, none with a fault")
    named = [found.agents[name] for name in sorted(patient.named & found.agents.keys())]
    waiting = ClaudeSettings(patient.trust.project, patient.trust.accepts).waiting
    for note in preflight(named, patient.root, waiting, executor="claude", home=patient.home):
        yield Finding(topic="agents", state=NOTE, text=note)


def _is_model(agent: Agent) -> bool:
    return agent.kind.traits.needs_model


def _why_not(agent: Agent, root: Path) -> str:
    """Why the program of *agent* cannot be started, as far as files show; empty if nothing does."""
    if agent.source is AgentSource.PACKAGED:
        return ""
    if agent.kind is AgentKind.PROCESS and agent.command:
        program, *words = agent.command
        if program == "{python}":
            script = next(iter(words), "-")
            return "" if script.startswith("-") or (root / script).is_file() else f"{script} is not there"
        found = (root / program).is_file() if os.sep in program else shutil.which(program) is not None
        return "" if found else f"the program {program} was not found"
    return ""


def _trust(patient: Patient) -> Iterator[Finding]:
    items = patient.trust.items()
    waiting = [item.id for item in patient.trust.unaccepted(items)]
    text = f"{len(items) - len(waiting)} of {len(items)} programs and settings have your yes"
    if not waiting:
        yield Finding(topic="trust", state=OK, text=text)
        return
    yield Finding(
        topic="trust",
        state=NOTE,
        text=f"{text}; without it: {some(waiting, NAMED)}",
        hint="`orchestrate trust` shows them and asks.",
    )


def _state(patient: Patient) -> Iterator[Finding]:
    location = locate(patient.root)
    with faults(location.state.folder):
        found = look_at(location.root, home=patient.home)
    if found.standing in {Standing.FOREIGN, Standing.COPY}:
        text = f"{found.folder} was not made by this user here: {found.story}"
        yield Finding(topic="state", state=BROKEN, text=text, hint="`orchestrate trust --state` shows its runs.")
    elif found.standing is Standing.ABSENT:
        yield Finding(topic="state", state=OK, text="no runs yet")
    else:
        yield Finding(topic="state", state=OK, text=f"runs are recorded in {found.folder}")


def _room(patient: Patient) -> Iterator[Finding]:
    folder = locate(patient.root).state.folder
    there = next(place for place in (folder, *folder.parents) if place.exists())
    free = shutil.disk_usage(there).free
    used = sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file()) if folder.is_dir() else 0
    state = BROKEN if free < NO_BYTES else NOTE if free < LOW_BYTES else OK
    text = f"runs take {_amount(used)}, {_amount(free)} are free"
    yield Finding(topic="room", state=state, text=text, hint="" if state == OK else "`orchestrate prune` removes runs.")
    if not os.access(there, os.W_OK):
        yield Finding(topic="room", state=BROKEN, text=f"{there} cannot be written, so no run can be recorded")


def _amount(size: int) -> str:
    return f"{size / 1e9:,.1f} GB" if size >= 1e9 else f"{size / 1e6:,.1f} MB"  # noqa: PLR2004


def _servers(patient: Patient) -> Iterator[Finding]:
    """Whether Claude Code starts our server, and whether twice."""
    if not is_readable(patient.root):
        text = f"Claude Code cannot read {MCP_FILE} of this project, and starts none of its servers"
        yield Finding(topic="servers", state=BROKEN, text=text, hint="Write it as one JSON object.")
    plugins = {one.name for one in plugins_of(patient.root, configuration(patient.home))}
    named = [name for name, server in configured_servers(patient.root).items() if _is_ours(server)]
    now = twins.at_work(os.environ)
    active = f"; the one of the {now[0]} offers the tools to this session" if now else ""
    if PLUGIN in plugins and named:
        text = f"the plugin and the server {some(named, NAMED)} of the configuration are both active{active}"
        yield Finding(
            topic="servers", state=NOTE, text=text, hint="Remove one: `claude mcp remove` or disable the plugin."
        )
    elif PLUGIN in plugins or named:
        which = "the plugin" if PLUGIN in plugins else f"the server {some(named, NAMED)}"
        yield Finding(topic="servers", state=OK, text=f"Claude Code starts {which} in this project{active}")
    else:
        hint = "`claude mcp add --scope project orchestration -- orchestration-mcp` adds it."
        yield Finding(topic="servers", state=NOTE, text="Claude Code does not start our server here", hint=hint)


def _is_ours(server: object) -> bool:
    """Whether a configured server is this package's, by what it starts."""
    if not isinstance(server, dict):
        return False
    args = server.get("args")
    words = [str(server.get("command", "")), *map(str, args if isinstance(args, list) else ())]
    ours = {"orchestration-mcp", "mcp_server"}
    serves = any(word == ".ci/serve" or word.endswith("/.ci/serve") for word in words)
    return serves or any(word.rpartition("/")[2] in ours for word in words)
