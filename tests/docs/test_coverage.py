"""What a user can meet is documented: tools, options, exit codes, settings, fields, events and every code."""

from __future__ import annotations

import ast
import asyncio
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import pytest
import typer.main
from docs.generate import BLOCKS, MARKED, stale

from engine.ids import NodeId, OwnerId, RunId
from engine.model.policy import LockSpec
from engine.run.events import Event, RunStatus
from engine.storage.cache import MEGABYTE, overflow_text
from engine.tables.locks import Claim, Holder, LockTable, Refused
from engine.validation import CODES
from mcp_server.cli import shared
from mcp_server.cli.app import app
from mcp_server.project.settings import BreakerSettings, NotifySettings, Settings, TodoSettings
from mcp_server.project.user_settings import AgentSettings, UserNotifySettings, UserSettings
from mcp_server.protocol.app import OrchestrationServer
from registry.agents.fields import FIELDS
from tests.docs.pages import DOCS, PAGES, ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

CODE = re.compile(
    r"[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+|TIMEOUT|DEADLOCK|CANCELLED|OVERLOADED|AUTHENTICATION|INTERNAL|ENVIRONMENT"
)
NO_CODES = {
    "TERM_PROGRAM": "an environment variable",
    "AWS_ALLOW_HTTP": "an environment variable",
    "AWS_ENDPOINT": "an environment variable",
    "AWS_ENDPOINT_URL": "an environment variable",
    "AWS_ENDPOINT_URL_S3": "an environment variable",
    "OTEL_EXPORTER_OTLP_PROTOCOL": "an environment variable",
    "OTEL_SDK_DISABLED": "an environment variable",
    "CLAUDE_CODE_ADDITIONAL_DIRECTORIES_CLAUDE_MD": "an environment variable",
    "CLAUDE_CONFIG_DIR": "an environment variable",
    "CLAUDE_PROJECT_DIR": "an environment variable",
    "ORCHESTRATION_CLAUDE_PROGRAM": "an environment variable",
    "ORCHESTRATION_ATTEMPT": "an environment variable",
    "ORCHESTRATION_MARK": "an environment variable",
    "ORCHESTRATION_LIBRARY": "an environment variable",
    "CLAUDE_PLUGIN_ROOT": "an environment variable",
    "CLAUDE_CODE_SESSION_ID": "an environment variable",
    "XDG_RUNTIME_DIR": "an environment variable",
    "SSH_CONNECTION": "an environment variable",
    "WAYLAND_DISPLAY": "an environment variable",
    "ORCHESTRATION_HTTP_TOKEN": "an environment variable",
    "DYLD_LIBRARY_PATH": "an environment variable",
    "LD_LIBRARY_PATH": "an environment variable",
    "GEM_HOME": "an environment variable",
    "GEM_PATH": "an environment variable",
    "NODE_PATH": "an environment variable",
    "SSH_AUTH_SOCK": "an environment variable",
    "XDG_CONFIG_HOME": "an environment variable",
    "XDG_STATE_HOME": "an environment variable",
    "O_BINARY": "a constant of os",
    "O_CLOEXEC": "a constant of os",
    "O_NOFOLLOW": "a constant of os",
    "O_NONBLOCK": "a constant of os",
}
"""Names in capitals that are no codes, and what they are."""
WITHOUT_CODES = {
    "engine/executors/worktrees/git.py": "environment variables of git",
    "engine/git_rules.py": "environment variables of git",
    "engine/executors/port.py": "environment variables of git",
    "engine/statefolder/tracked.py": "environment variables of git",
    "engine/json/example.py": "names of the regular expression parser",
    "registry/peers/archon/scope.py": "variables of Archon",
    "registry/peers/archon/shell.py": "variables of Archon",
}
ANY_PAGE = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
TROUBLE = (DOCS / "troubleshooting.md").read_text(encoding="utf-8")
COMMANDS: dict[str, Any] = typer.main.get_command(app).commands  # type: ignore[attr-defined]


def page(name: str) -> str:
    return (DOCS / name).read_text(encoding="utf-8")


def test_no_generated_part_is_stale() -> None:
    assert [path.relative_to(ROOT).as_posix() for path in stale()] == [], "run python -m docs.generate"


def test_every_generated_part_has_its_place() -> None:
    assert {found["name"] for found in MARKED.finditer(ANY_PAGE)} == set(BLOCKS)


def codes_of(path: Path) -> Iterator[str]:
    """The codes that the module at *path* has as texts."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    exports = {id(item) for node in ast.walk(tree) if is_exports(node) for item in ast.walk(node)}
    for node in ast.walk(tree):
        if not isinstance(node, ast.Constant) or not isinstance(node.value, str) or id(node) in exports:
            continue
        if CODE.fullmatch(node.value) and node.value not in NO_CODES:
            yield node.value


def is_exports(node: ast.AST) -> bool:
    return isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"


def test_every_code_of_the_program_is_documented() -> None:
    modules = [path for room in ("engine", "registry", "mcp_server") for path in (ROOT / room).rglob("*.py")]
    undocumented = {
        (code, path.relative_to(ROOT).as_posix())
        for path in modules
        if path.relative_to(ROOT).as_posix() not in WITHOUT_CODES and "packaged" not in path.parts
        for code in codes_of(path)
        if f"`{code}`" not in TROUBLE
    }
    assert undocumented == set()


def test_every_documented_code_is_one_of_the_program() -> None:
    sources = "\n".join(
        path.read_text(encoding="utf-8")
        for room in ("engine", "registry", "mcp_server")
        for path in (ROOT / room).rglob("*.py")
    )
    rows = [line for line in TROUBLE.partition("## Every code")[2].splitlines() if line.startswith("| `")]
    named = {code for line in rows for code in re.findall(r"`([A-Z][A-Z0-9_]+)`", line.split("|")[1])}
    assert {code for code in named if f'"{code}"' not in sources} == set()
    assert set(CODES) <= named


def test_every_tool_and_parameter_is_documented() -> None:
    text = page("reference/mcp-tools.md")
    for tool in asyncio.run(OrchestrationServer().list_tools()):
        assert f"## {tool.name}\n" in text
        for parameter in tool.input_schema.get("properties", {}):
            assert f"| `{parameter}` |" in text


def test_every_command_and_option_is_documented() -> None:
    text = page("reference/command-line.md")
    for name, command in COMMANDS.items():
        assert f"## {name}\n" in text
        for option in (option for param in command.params for option in param.opts if option.startswith("--")):
            assert f"`{option}" in text


def test_every_exit_code_is_documented() -> None:
    text = page("reference/command-line.md")
    codes = {shared.OK, shared.FAILED, shared.USAGE, shared.CANCELLED, shared.INTERRUPTED}
    assert {int(code) for code in re.findall(r"^\| (\d+) \|", text, re.MULTILINE)} == codes


def test_every_setting_is_documented() -> None:
    text = page("reference/settings.md")
    for model in (
        Settings,
        TodoSettings,
        BreakerSettings,
        NotifySettings,
        UserSettings,
        AgentSettings,
        UserNotifySettings,
    ):
        for name in model.model_fields:
            assert re.search(rf"`(?:[\w.]+\.)?{name}(?:\.[\w.]+)?`", text), name


def test_every_field_of_agent_files_is_documented() -> None:
    text = page("reference/agent-files.md")
    assert {field for field in FIELDS if f"`{field}`" not in text} == set()


def test_every_event_is_documented() -> None:
    text = page("reference/journal.md")
    assert {kind.__name__ for kind in get_args(Event) if f"`{kind.__name__}`" not in text} == set()


def test_every_end_state_is_documented() -> None:
    text = page("command-spec-v2.md")
    live = {RunStatus.PENDING, RunStatus.RUNNING, RunStatus.COMPENSATING}
    assert {status for status in RunStatus if status not in live and f"| `{status}` |" not in text} == set()


def test_a_page_names_no_command_or_option_that_does_not_exist() -> None:
    text = f"{ANY_PAGE}\n{(ROOT / 'README.md').read_text(encoding='utf-8')}"
    named = set(re.findall(r"(?:^|`|\$ )orchestrate (?:--project \S+ )?([a-z][a-z-]*)", text, re.MULTILINE))
    assert named - set(COMMANDS) == set()
    known = {
        option
        for command in COMMANDS.values()
        for param in command.params
        for option in (*param.opts, *param.secondary_opts)
    }
    lines = re.findall(r"(?:^|`|\$ )(orchestrate [^`\n]*)", text, re.MULTILINE)
    used = {option for line in lines for option in re.findall(r"(?<= )--[a-z-]+", line)}
    assert used - known - {"--project"} == set()


def slugs(text: str) -> set[str]:
    """The anchors that GitHub makes of the headings of a page."""
    found: set[str] = set()
    outside = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    for heading in re.findall(r"^#+ (.+)$", outside, re.MULTILINE):
        slug = re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")
        number = next(n for n in range(len(found) + 1) if (f"{slug}-{n}" if n else slug) not in found)
        found.add(f"{slug}-{number}" if number else slug)
    return found


@pytest.mark.parametrize("page", [*PAGES, ROOT / "README.md"], ids=lambda path: path.relative_to(ROOT).as_posix())
def test_the_links_of_a_page_lead_somewhere(page: Path) -> None:
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    for target in re.findall(r"\[[^\]]*\]\(([^)\s]+)\)", text):
        if re.match(r"https?://", target):
            continue
        name, _, anchor = target.partition("#")
        found = (page.parent / name).resolve() if name else page
        assert found.exists(), target
        if anchor:
            assert anchor in slugs(found.read_text(encoding="utf-8")), target


def printed(name: str) -> str:
    """The text block behind `<!-- printed: NAME -->` of the troubleshooting page."""
    found = re.search(rf"<!-- printed: {name} -->\n\n```text\n(.*?)\n```", TROUBLE, re.DOTALL)
    assert found is not None
    return found[1]


def test_the_deadlock_of_the_page_is_what_the_lock_table_says() -> None:
    table, now = LockTable(), datetime(2026, 3, 1, 12, tzinfo=UTC)

    def ask(run: str, node: str | None, resource: str) -> list[Any]:
        holder = Holder(RunId(run), NodeId(node) if node else None)
        wait = timedelta(minutes=1)
        return table.request(Claim.of(holder, OwnerId("p-1"), [LockSpec(resource)], now=now, max_wait=wait), now)

    ask("r-b", None, "database")
    ask("r-a", None, "file-system")
    ask("r-b", "export", "file-system")
    refused = [outcome for outcome in ask("r-a", "report", "database") if isinstance(outcome, Refused)]
    assert [outcome.failure.message for outcome in refused] == [printed("deadlock")]


def test_the_cache_warning_of_the_page_is_what_the_cache_says() -> None:
    assert printed("overflow") == overflow_text(100 * MEGABYTE, 145 * MEGABYTE)
