#!/usr/bin/env bash
# Claude Code 2.1.332 does not start the MCP server of a plugin again, in new sessions either, once it has failed.
#
# Expected: the next session starts the server, as it does with one of `.mcp.json`; if not, `claude mcp list` says so.
# Seen: for 15 minutes sessions do not start it and call it failed, although it works now and `claude mcp list`, which
# does start it, says that it is connected. A first start that takes more than 30 seconds, to install something, is
# such a failure. (`/mcp` says so for each server; "Reconnect" there starts it.)
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
npm install --silent --no-audit --no-fund --prefix "$folder/npm" "@anthropic-ai/claude-code@2.1.332"
mkdir -p "$folder/home" "$folder/project" "$folder/plugin/.claude-plugin"
cat >"$folder/server.py" <<'PYTHON'
"""A server without tools, which notes its start and exits while the file `works` is not there."""

import json
import sys
from pathlib import Path

folder = Path(__file__).parent
with (folder / sys.argv[1]).open("a") as starts:
    starts.write("started\n")
if not (folder / "works").exists():
    sys.exit(1)
for line in sys.stdin:
    request = json.loads(line)
    answer = {"error": {"code": -32601, "message": "unknown method"}}
    if request["method"] == "initialize":
        told = {"protocolVersion": "2025-06-18", "capabilities": {}, "serverInfo": {"name": "x", "version": "1"}}
        answer = {"result": told}
    if "id" in request:
        print(json.dumps({"jsonrpc": "2.0", "id": request["id"], **answer}), flush=True)
PYTHON
configured() { # NAME: a configuration with this server
    printf '{"mcpServers": {"%s": {"command": "python3", "args": ["%s/server.py", "%s"]}}}' "$1" "$folder" "$1"
}
configured "of-project" >"$folder/project/.mcp.json"
configured "of-plugin" >"$folder/plugin/.mcp.json"
echo '{"name": "demo", "version": "1.0.0"}' >"$folder/plugin/.claude-plugin/plugin.json"
claude() { # without an account: each session ends when it has told of its servers, since no model answers
    (cd "$folder/project" && env -i PATH="$PATH" HOME="$folder/home" ANTHROPIC_API_KEY=none CLAUDE_CODE_MAX_RETRIES=0 \
        ANTHROPIC_BASE_URL=http://127.0.0.1:9 CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC=1 DISABLE_AUTOUPDATER=1 \
        MCP_CONNECTION_NONBLOCKING=0 timeout 60 "$folder/npm/node_modules/.bin/claude" --plugin-dir "$folder/plugin" "$@")
}
session() { # one line for each server: its state, and whether it was started
    rm -f "$folder/of-project" "$folder/of-plugin"
    claude -p hello --output-format stream-json --verbose </dev/null >"$folder/said" || true
    for name in of-project of-plugin; do
        state=$(grep -o "\"name\":\"[a-z:]*$name\",\"status\":\"[a-z]*\"" "$folder/said" | cut -d'"' -f8)
        echo "$name: $state, $(test -e "$folder/$name" && echo started || echo not started)"
    done
}
before=$(session)
touch "$folder/works"
after=$(session)
listed=$(claude mcp list | grep of-plugin | grep -o "Connected\|Failed")
printf 'expected after the repair:\nof-project: connected, started\nof-plugin: connected, started\n'
printf 'seen before it:\n%s\nseen after it:\n%s\nclaude mcp list: %s\n' "$before" "$after" "$listed"
[[ "$before" == *"of-plugin: failed, started" ]]
[[ "$after" == "of-project: connected, started"*"of-plugin: failed, not started" && "$listed" == Connected ]]
