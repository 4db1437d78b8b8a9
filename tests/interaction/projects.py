"""Small projects whose agents are programs and Python functions, and the ways to talk to a server about them."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import anyio
from mcp import Client, StdioServerParameters

from mcp_server.protocol.app import OrchestrationServer
from tests.support.definitions import Raw, command, node, phase
from tests.support.trust import trust_all

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from mcp_types import CallToolResult

ROOT = Path(__file__).parents[2]
Era = Literal["legacy", "auto"]
ERAS: tuple[Era, ...] = ("legacy", "auto")
"""The `initialize` handshake, and protocol 2026-07-28."""
BYTES_OF_10_000_TOKENS = 30_000

AGENTS = {
    "worker": """
import json, sys
order = json.load(sys.stdin)
print("thinking of", order["node"], file=sys.stderr)
print(json.dumps({"outputs": {"greeting": "hello from " + order["node"]}}))
""",
    "failer": """
import sys
sys.exit(json.dumps({"code": "BROKEN", "kind": "error", "message": "password=hunter22 was refused"}))
""".replace("import sys", "import json, sys"),
    "gated": """
import json, sys
json.load(sys.stdin)
print("the gate is still closed", file=sys.stderr, flush=True)
with open("started", "a") as file:
    file.write("x")
with open("gate") as gate:
    gate.read()
print(json.dumps({"outputs": {"greeting": "the gate is open"}}))
""",
    "large": """
import json
print(json.dumps({"outputs": {"report": "long " * 4000, "short": "sk-ant-" + "a" * 30}}))
""",
}


def greeting(**fields: object) -> Raw:
    return {"context": {"outputs": [{"key": "greeting", "ttl": 60}]}, **fields}


def commands() -> dict[str, Raw]:
    """The commands of the project, by file name."""
    return {
        "hello": command(phase("greet", node("first-greeting", minutes=0.1, **greeting())), name="/hello"),
        "wait": command(
            phase("greet", node("first-greeting", minutes=0.1, **greeting())),
            phase("gate", node("gate-keeper", agent="gated", minutes=0.1)),
            name="/wait",
        ),
        "fail": command(phase("work", node("failing-node", agent="failer", minutes=0.1)), name="/fail"),
        "large": command(
            phase(
                "work",
                node("writer", agent="large", context={"outputs": [{"key": key} for key in ("report", "short")]}),
            ),
            name="/large",
        ),
        "ask": command(
            phase("work", node("careful-node", minutes=0.1, approval={"message": "Really?"}, **greeting())),
            name="/ask",
        ),
        "model": command(phase("work", node("thinker", agent="general-purpose")), name="/model"),
        "unknown-agent": command(phase("work", node("first-node", agent="wroker")), name="/unknown-agent"),
        "cycle": command(
            phase("work", node("left-node", "right-node"), node("right-node", "left-node")), name="/cycle"
        ),
        "argued": command(
            phase("work", node("first-greeting", **greeting())),
            name="/argued",
            arguments=[{"name": "target", "description": "What to greet", "required": True}],
        ),
    }


def make_project(root: Path) -> Path:
    """A project at *root* with the agents and commands above, and no `claude` to be found."""
    agents, folder = root / ".claude" / "agents", root / ".claude" / "commands" / "v2"
    agents.mkdir(parents=True)
    folder.mkdir(parents=True)
    for name, text in AGENTS.items():
        (root / f"{name}.py").write_text(text, encoding="utf-8")
        argv = json.dumps([sys.executable, f"{name}.py"])
        head = f"---\nname: {name}\ndescription: Does {name} work\nexecutor: process\ncommand: {argv}\n---\n"
        (agents / f"{name}.md").write_text(head, encoding="utf-8")
    for name, definition in commands().items():
        (folder / f"{name}.json").write_text(json.dumps(definition), encoding="utf-8")
    (root / ".claude" / "orchestration.toml").write_text('claude_program = "no-such-program"\n', encoding="utf-8")
    os.mkfifo(root / "gate")
    trust_all(root, root / "home")
    return root


def open_gate(project: Path) -> None:
    """Let one gated agent go on; waits for it to come to the gate."""
    with (project / "gate").open("w") as gate:
        gate.write("go")


@contextlib.asynccontextmanager
async def connected(project: Path, era: Era, **options: Any) -> AsyncIterator[Client]:  # noqa: ANN401 - the client says
    """A client of a server in this process; *options* are the client's own."""
    server = OrchestrationServer(root=project, home=project / "home")
    async with Client(server, mode=era, read_timeout_seconds=40, **options) as client:
        yield client


def stdio_parameters(project: Path) -> StdioServerParameters:
    """How a client starts the real server."""
    return StdioServerParameters(
        command=sys.executable, args=["-m", "mcp_server"], env=environment(project), cwd=project
    )


def environment(project: Path) -> dict[str, str]:
    """The environment of a server: that of Claude Code in short."""
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "PYTHONPATH": str(ROOT),
        "HOME": str(project / "home"),
        "XDG_CONFIG_HOME": str(project / "home" / ".config"),
        "CLAUDE_PROJECT_DIR": str(project),
    }


async def call(client: Client, tool: str, **arguments: object) -> dict[str, Any]:
    """The structured answer of *tool*, which is no error."""
    result = await client.call_tool(tool, arguments)
    assert not result.is_error, text_of(result)
    assert result.structured_content == json.loads(text_of(result))
    answer: dict[str, Any] = result.structured_content
    return answer


async def ended(client: Client) -> dict[str, Any]:
    """The newest run when it has ended."""
    with anyio.fail_after(30):
        while True:
            status = await call(client, "status", wait_seconds=30)
            if status["state"] not in {"pending", "running", "compensating"}:
                return status


async def refused(client: Client, tool: str, arguments: Mapping[str, Any]) -> str:
    """The text of *tool*'s error."""
    result = await client.call_tool(tool, dict(arguments))
    assert result.is_error, text_of(result)
    assert result.structured_content is None
    return text_of(result)


def text_of(result: CallToolResult) -> str:
    """The one text of a result."""
    [content] = result.content
    assert content.type == "text"
    return content.text
