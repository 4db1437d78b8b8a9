#!/usr/bin/env bash
# mcp 2.3.0 gives a tool None where a client sent the text "null" for a parameter of the type `str | None`.
#
# Expected: a text arrives as it was sent, as it does for a parameter of the type `str`; only null in JSON is None.
# Seen: texts for any other annotation are read as JSON first, for clients that send lists as texts, also where a text
# is what the parameter takes. So "null", a name like others, becomes None, and "[1]" is refused because it is a list.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check "mcp==2.3.0"
"$folder/venv/bin/python" - 2>/dev/null <<'PYTHON'
import sys

import anyio
from mcp.client import Client
from mcp.server import MCPServer

server = MCPServer("texts")


@server.tool()
def required(text: str) -> str:
    return repr(text)


@server.tool()
def optional(text: str | None = None) -> str:
    return repr(text)


async def answer(client: Client, tool: str, text: str) -> str:
    result = await client.call_tool(tool, {"text": text})
    return "refused" if result.is_error else result.content[0].text


async def main() -> dict[str, list[str]]:
    async with Client(server) as client:
        return {
            tool: [await answer(client, tool, text) for text in ("null", "[1]", "5", "word")]
            for tool in ("required", "optional")
        }


seen = anyio.run(main)
as_sent = ["'null'", "'[1]'", "'5'", "'word'"]
print("expected:", {"required": as_sent, "optional": as_sent})
print("seen:    ", seen)
sys.exit(seen != {"required": as_sent, "optional": ["None", "refused", "'5'", "'word'"]})
PYTHON
