#!/usr/bin/env bash
# mcp 2.3.0 answers an empty list for a tool that returns a generator, in the form of the result that programs read.
#
# Expected: `Iterable[str]` and `Generator` are announced as arrays, so the two forms of a result have what the function
# yields, or the tool is refused when it is defined, as one that returns `Iterator[str]` is.
# Seen: the text has it and the structured form is []. The text is made first and reads the generator to its end. The
# answer is valid by its schema and no error, and clients that show a model the structured form, as Claude Code does,
# say that nothing was found.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check "mcp==2.3.0"
"$folder/venv/bin/python" - <<'PYTHON'
import sys
from collections.abc import Generator, Iterable
from typing import Any

import anyio
from mcp.client import Client
from mcp.server import MCPServer

NAMES = ("a.py", "b.py", "c.txt")
server = MCPServer("files")


@server.tool()
def listed() -> Iterable[str]:
    return [name for name in NAMES if name.endswith(".py")]


@server.tool()
def filtered() -> Iterable[str]:
    return filter(lambda name: name.endswith(".py"), NAMES)


@server.tool()
def yielded() -> Generator[str, None, None]:
    for name in NAMES:
        if name.endswith(".py"):
            yield name


async def main() -> dict[str, tuple[bool, Any, bool]]:
    """By tool, whether the text of its result has a name, its structured form, and whether it is an error."""
    found = {}
    async with Client(server) as client:
        for tool in ("listed", "filtered", "yielded"):
            result = await client.call_tool(tool, {})
            texts = " ".join(block.text for block in result.content)
            found[tool] = ("a.py" in texts, result.structured_content["result"], result.is_error)
    return found


seen = anyio.run(main)
whole = (True, ["a.py", "b.py"], False)
print("expected:", dict.fromkeys(seen, whole))
print("seen:    ", seen)
sys.exit(seen != {"listed": whole, "filtered": (True, [], False), "yielded": (True, [], False)})
PYTHON
