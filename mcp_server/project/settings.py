"""The settings of a project: `.claude/orchestration.toml`, and environment variables, which take precedence.

Effects: reads the file and the environment. Nothing is guessed: an unknown key is an error that suggests a known one.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PrivateAttr, ValidationError

from engine.errors import InputError
from engine.model.agent import AgentDefaults
from engine.model.attribute_docs import Documented
from engine.statefolder.regular_files import read_regular
from engine.views.todos import TodoOptions
from mcp_server.project.guarded import GUARDED, check_no_secret, guarded_values
from registry.agents import fields
from registry.naming import closest

if TYPE_CHECKING:
    from pathlib import Path

_PREFIX = "ORCHESTRATION_"
SETTINGS_FILE = ".claude/orchestration.toml"
CODE = "INVALID_SETTINGS"
LOCALHOST = "localhost"
_USERS = {"agents": "[agents] env in ~/.config/orchestration-mcp/settings.toml"}
"""Tables of the user's own settings, which apply to all projects."""
MAX_FILE_BYTES = 1_000_000
"""Bytes of the largest settings file."""


class TodoSettings(Documented, BaseModel):
    """How todo lists are built (SPEC 10)."""

    model_config = ConfigDict(extra="forbid", defer_build=True)

    batch_size: int = Field(default=10, ge=1, le=1000)
    """Above this number of nodes, each phase that has not opened is one line. Unless it is set, lists in answers of the
    server are folded by their size only."""
    batch_delay_ms: int = Field(default=500, ge=0, le=60_000)
    """Milliseconds between two progress messages; starts and ends of phases and failures are reported at once."""
    grouping: bool = True
    """Whether the text block has phase headings."""


class BreakerSettings(Documented, BaseModel):
    """When a circuit breaker opens, and when it tries again (SPEC 9)."""

    model_config = ConfigDict(extra="forbid", defer_build=True)

    failure_threshold: int = Field(default=5, ge=1)
    """Number of failures within the monitoring period that open it."""
    reset_timeout_ms: int = Field(default=60_000, ge=1)
    """Milliseconds from opening to the first trial."""
    monitoring_period_ms: int = Field(default=300_000, ge=1)
    """Milliseconds that a failure counts."""


def _read_as(read: Callable[[Any], Any]) -> AfterValidator:
    """A value that is validated like a field of an agent file."""

    def check(value: Any) -> Any:  # noqa: ANN401 - as the field has it
        try:
            read(value)
        except InputError as error:
            raise ValueError(f"{error.message} ({error.hint})") from None
        return value

    return AfterValidator(check)


Word = Annotated[str, _read_as(fields.argument)]


class ClaudeSettings(Documented, BaseModel):
    """Defaults for model agents whose file does not say."""

    model_config = ConfigDict(extra="forbid", defer_build=True)

    model: Word | None = None
    """Model of agents whose file has no `model`."""
    effort: Word | None = None
    """Effort of agents whose file has no `effort`."""
    permission_mode: Literal["default", "acceptEdits", "plan", "dontAsk", "auto", "manual"] | None = None
    """Permission mode of agents whose file has no `permissionMode`; permissions cannot be switched off."""
    max_turns: int | None = Field(default=None, ge=1)
    """Maximum number of turns of an attempt, if the agent's file has no `maxTurns`."""
    max_budget_usd: float | None = Field(default=None, gt=0)
    """Maximum cost of an attempt in USD, if the agent's file has no `maxBudgetUsd`."""
    isolation: Literal["worktree"] | None = None
    """`worktree`: agents work in their own worktrees, if their file has no `isolation`."""
    mcp_servers: list[str] = Field(default_factory=list)
    """MCP servers of agents whose file has no `mcpServers`."""
    tools: Annotated[list[str], _read_as(fields.tools)] | None = None
    """Tools of agents whose file has no `tools`; Claude Code's built-in agents have their own."""

    def defaults(self) -> AgentDefaults:
        """The same as the defaults of agents."""
        values = self.model_dump(exclude={"mcp_servers", "tools"})
        tools = None if self.tools is None else fields.tools([*self.tools])
        return AgentDefaults(**values, mcp_servers=tuple(self.mcp_servers), tools=tools)


FleetKind = Literal["claude", "process", "python"]
DEFAULT_KINDS: tuple[FleetKind, ...] = ("claude", "process")


class FleetSettings(Documented, BaseModel):
    """Other machines that make attempts of a run; without `connect` everything runs here."""

    model_config = ConfigDict(extra="forbid", defer_build=True)

    connect: Annotated[str | None, GUARDED] = Field(default=None, pattern=r"^\S+:\d{1,5}$")
    """Host and port of the fleet's server, such as `temporal.example:7233`."""
    namespace: Annotated[str, GUARDED] = Field(default="default", min_length=1)
    """Namespace of the server: whoever can write to it can have workers run programs."""
    agents: list[FleetKind] = Field(default_factory=lambda: [*DEFAULT_KINDS])
    """Kinds of agents that go to the fleet; others run here."""
    project: str | None = Field(default=None, pattern=r"^[\w.-]+$")
    """Name under which workers allow this project (default: the name of its folder)."""
    blobs: Annotated[str | None, GUARDED] = Field(default=None, pattern=r"^(s3|gs|az|file)://.+")
    """Store for files of isolated agents and values of more than 256 KB: `s3://bucket/prefix`, `gs://…`, `az://…` or `file:///shared/folder`."""
    heartbeat: float = Field(default=60, ge=2, le=3600)
    """Seconds of silence after which a worker counts as lost; more than a restart of the server takes."""
    grace: float = Field(default=10, ge=8, le=600)
    """Seconds after that until its attempts are repeated: a worker that was cut off has ended them by then."""
    wait_for_worker: float = Field(default=600, ge=1)
    """Seconds that an attempt waits for a worker before it fails."""
    tls_ca: Annotated[str | None, GUARDED] = None
    """File with the certificate of the authority that the server's certificate is from."""
    tls_cert: Annotated[str | None, GUARDED] = None
    """File with the certificate that this machine shows to the server."""
    tls_key: Annotated[str | None, GUARDED] = None
    """File with the key of that certificate."""
    insecure: Annotated[bool, GUARDED] = False
    """Whether the server may be on another machine without TLS and without an API key; only with a payload key."""


def is_loopback(host: str) -> bool:
    """Whether *host*, of an address, is this machine."""
    import ipaddress  # noqa: PLC0415 - for those who set an address

    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == LOCALHOST


def _webhook(value: str) -> str:
    """An address that notifications may be sent to: https, or this machine."""
    parts = urlsplit(value)
    host = parts.hostname or ""
    if parts.username is not None or parts.password is not None:
        raise ValueError("an address with a user name or password is not accepted")
    if not host or parts.scheme not in {"https", "http"}:
        raise ValueError("it must be an https address")
    if parts.scheme == "http" and not is_loopback(host):
        raise ValueError("http is accepted for this machine only; use https")
    if not (value.isascii() and value.isprintable()) or " " in value:
        raise ValueError("other characters than visible ASCII ones have to be percent-encoded")
    if parts.port == 0:  # other invalid ports raise an error of their own
        raise ValueError("port 0 cannot be reached")
    return value


class NotifySettings(Documented, BaseModel):
    """Notifications when a run asks, fails or ends."""

    model_config = ConfigDict(extra="forbid", defer_build=True)

    command: Annotated[list[str] | None, GUARDED] = Field(default=None, min_length=1)
    """Program and arguments, without a shell; it gets the notification as JSON on stdin."""
    webhook: Annotated[Annotated[str, AfterValidator(_webhook)] | None, GUARDED] = None
    """Address that the notification is posted to as JSON: https, or http on this machine."""
    events: list[Literal["question", "failure", "end"]] = Field(default=["question", "failure", "end"])
    """The occasions: a run asks; its first node fails while it goes on; it is over."""


class Settings(Documented, BaseModel):
    """The settings of a project; variables such as `ORCHESTRATION_MAX_PARALLELISM=4` take precedence over the file."""

    model_config = ConfigDict(extra="forbid", defer_build=True)

    claude_program: Annotated[str | None, GUARDED] = Field(default=None, min_length=1)
    """Path of the Claude Code program from the project root, or its name outside the project (default: `claude`)."""
    max_parallelism: int = Field(default=10, ge=1, le=1000)
    """Maximum number of agents of a run at once, if the run itself does not say."""
    max_cost_usd: float | None = Field(default=None, gt=0)
    """Maximum cost of a run in USD, if the run itself does not say."""
    max_attempts_total: int | None = Field(default=None, ge=1)
    """Maximum number of attempts of a run, if the run itself does not say."""
    max_duration_seconds: float | None = Field(default=None, gt=0)
    """Maximum duration of a run in seconds, if the run itself does not say."""
    idle_timeout_ms: int | None = Field(default=None, ge=1)
    """Milliseconds without output after which an agent times out, if its file has no `idleTimeoutMs`."""
    claude: ClaudeSettings = Field(default_factory=ClaudeSettings)
    """Defaults for model agents whose file does not say."""
    todos: TodoSettings = Field(default_factory=TodoSettings)
    """How todo lists are built."""
    fleet: FleetSettings = Field(default_factory=FleetSettings)
    """Other machines that make attempts."""
    breakers: dict[str, BreakerSettings] = Field(default_factory=dict)
    """Circuit breakers, by the name that nodes use in `circuitBreaker`."""
    notify: NotifySettings = Field(default_factory=NotifySettings)
    """Notifications when a run asks, fails or ends."""

    _guarded: Mapping[str, Mapping[str, Any]] = PrivateAttr(default_factory=dict)

    @property
    def guarded(self) -> Mapping[str, Mapping[str, Any]]:
        """Programs, hosts and addresses in the project's own file: by top-level name, value by dotted key.

        They have no effect before the user's yes; see `Trust.setting`. Values of the user's environment are left out.
        """
        return self._guarded


TABLES = (
    ("todos", TodoSettings),
    ("claude", ClaudeSettings),
    ("fleet", FleetSettings),
    ("notify", NotifySettings),
    ("breakers", None),
)


def load_settings(project: Path) -> Settings:
    """The settings of *project*, or the defaults if it has no file. Raises `InputError` (INVALID_SETTINGS)."""
    settings = parse_settings(read_toml(project / SETTINGS_FILE, SETTINGS_FILE))
    program = settings.claude_program
    if program is not None and os.sep in program:  # the same file from every working directory
        settings.claude_program = os.path.abspath(project / program)  # noqa: PTH100 - joins `..` without following links
    return settings


def todo_options(settings: Settings) -> TodoOptions:
    """How *settings* build todo lists."""
    todos = settings.todos
    chosen = "batch_size" in todos.model_fields_set
    return TodoOptions(batch_size=todos.batch_size if chosen else None, grouping=todos.grouping)


def parse_settings(values: Mapping[str, Any]) -> Settings:
    """The settings of *values*, a parsed file, and the environment."""
    check_keys(values, Settings, "")
    for name, model in TABLES:
        table = values.get(name)
        if isinstance(table, dict) and model is not None:
            check_keys(table, model, f"{name}.")
        elif isinstance(table, dict):
            for breaker, entry in table.items():
                if isinstance(entry, dict):
                    check_keys(entry, BreakerSettings, f"{name}.{breaker}.")
    guarded = guarded_values(Settings, values, variables={name.upper() for name in os.environ}, prefix=_PREFIX)
    for found in guarded.values():
        for key, value in found.items():
            check_no_secret(value, f"{SETTINGS_FILE}: {key}", code=CODE)
    try:
        settings = Settings(**_with_variables(values))
    except ValidationError as error:
        lines = [f"{'.'.join(str(part) for part in item['loc'])}: {item['msg']}" for item in error.errors()]
        raise InputError(f"{SETTINGS_FILE} or its ORCHESTRATION_ variables: {'; '.join(lines)}", code=CODE) from None
    settings._guarded = guarded  # noqa: SLF001 - its own module
    return settings


def _with_variables(values: Mapping[str, Any]) -> Mapping[str, Any]:
    """*values*, and over them those of the environment."""
    if not any(name.upper().startswith(_PREFIX) for name in os.environ):
        return values
    from pydantic_settings import EnvSettingsSource  # noqa: PLC0415 - 40 ms that most programs can do without

    read = EnvSettingsSource(Settings, env_prefix=_PREFIX, env_nested_delimiter="__")  # type: ignore[arg-type]
    return _over(read(), values)


def _over(first: Mapping[str, Any], second: Mapping[str, Any]) -> Mapping[str, Any]:
    """The tables *first* and *second*; what both have is that of the first."""
    both = {
        key for key in first.keys() & second.keys() if isinstance(first[key], dict) and isinstance(second[key], dict)
    }
    return {**second, **first} | {key: _over(first[key], second[key]) for key in both}


def read_toml(path: Path, name: str) -> dict[str, Any]:
    """The contents of the settings file *path*, shown as *name*; empty if there is none.

    Raises `InputError` (INVALID_SETTINGS).
    """
    try:
        data = read_regular(path, MAX_FILE_BYTES + 1)
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise InputError(f"{name} cannot be read: {error.strerror}", code=CODE) from None
    if len(data) > MAX_FILE_BYTES:
        raise InputError(f"{name} is larger than {MAX_FILE_BYTES} bytes", code=CODE)
    try:
        return tomllib.loads(data.decode("utf-8-sig"))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        raise InputError(f"{name} is not TOML: {error}", code=CODE) from None


def check_keys(values: Mapping[str, Any], model: type[BaseModel], place: str, file: str = SETTINGS_FILE) -> None:
    """Raise `InputError` (INVALID_SETTINGS) for a key of *values* that *model* does not have, with prefix *place*."""
    for key in values:
        if key not in model.model_fields:
            if key in _USERS and model is Settings:
                message = f"{file} has [{key}], which a project cannot set"
                raise InputError(message, code=CODE, hint=f"Set it in your own settings: {_USERS[key]}.")
            near = closest(key, model.model_fields)
            hint = f'Did you mean "{place}{near}"?' if near else f"Known keys: {', '.join(model.model_fields)}."
            raise InputError(f'{file} has the unknown key "{place}{key}"', code=CODE, hint=hint)
