#!/usr/bin/env bash
# mcp 2.3.0 leaves fields out of the structured result of a tool that may also return None, or returns a list.
#
# Expected: the two forms of one result say the same. A tool that is annotated with a model and returns a subclass of it
# has the fields of the subclass in both, which the library takes care of.
# Seen: annotated with `Model | None` or `list[Model]`, the same object has them in the text only. Clients that show a
# model the structured form, as Claude Code does, never see them.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check "mcp==2.3.0"
"$folder/venv/bin/python" - <<'PYTHON'
import json
import sys

import anyio
from mcp.client import Client
from mcp.server import MCPServer
from pydantic import BaseModel


class File(BaseModel):
    name: str


class Image(File):
    width: int


server = MCPServer("files")


@server.tool()
def one() -> File:
    return Image(name="a.png", width=64)


@server.tool()
def one_or_none() -> File | None:
    return Image(name="a.png", width=64)


@server.tool()
def several() -> list[File]:
    return [Image(name="a.png", width=64)]


async def main() -> dict[str, tuple[bool, bool]]:
    """By tool, whether the text and the structured form of its result have the field of the subclass."""
    found = {}
    async with Client(server) as client:
        for tool in ("one", "one_or_none", "several"):
            result = await client.call_tool(tool, {})
            found[tool] = ("width" in result.content[0].text, "width" in json.dumps(result.structured_content))
    return found


seen = anyio.run(main)
print("expected:", dict.fromkeys(seen, (True, True)))
print("seen:    ", seen)
sys.exit(seen != {"one": (True, True), "one_or_none": (True, False), "several": (True, False)})
PYTHON
