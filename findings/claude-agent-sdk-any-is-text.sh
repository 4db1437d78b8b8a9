#!/usr/bin/env bash
# claude-agent-sdk 0.2.189 announces a parameter of a type that it does not know as text, and then refuses its values.
#
# Expected: `Any` takes every value and `Literal[1, 2]` the numbers 1 and 2, or the tool is refused when it is defined.
# Seen: both are {"type": "string"} in the schema that Claude gets, as are sets, tuples and enumerations. A call with
# the number 1 is an error, one with the text "1" or "seven" reaches the function.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
# From its source: the wheels hold the program Claude Code, which this does not start.
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check --no-binary claude-agent-sdk \
    "claude-agent-sdk==0.2.189" "mcp==2.3.0"
"$folder/venv/bin/python" - <<'PYTHON'
import sys
from typing import Any, Literal

import anyio
from claude_agent_sdk import create_sdk_mcp_server, tool
from mcp.client import Client


@tool("set_level", "Set the level of a topic", {"level": Literal[1, 2], "topic": Any})
async def set_level(arguments: dict[str, Any]) -> dict[str, Any]:
    return {"content": [{"type": "text", "text": "called"}]}


async def main() -> tuple[object, ...]:
    """The types of the parameters as announced, and whether the function gets each of three calls."""
    server = create_sdk_mcp_server("levels", tools=[set_level])["instance"]
    async with Client(server) as client:
        [shown] = (await client.list_tools()).tools
        found = [{name: schema.get("type") for name, schema in shown.input_schema["properties"].items()}]
        for level, topic in ((1, "disk"), (1, ["disk"]), ("seven", "disk")):
            result = await client.call_tool("set_level", {"level": level, "topic": topic})
            found.append(not result.is_error)
    return tuple(found)


seen = anyio.run(main)
print("expected:", ({"level": "integer", "topic": None}, True, True, False), "or an error")
print("seen:    ", seen)
sys.exit(seen != ({"level": "string", "topic": "string"}, False, False, True))
PYTHON
