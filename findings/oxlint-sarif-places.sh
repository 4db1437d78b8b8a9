#!/usr/bin/env bash
# oxlint 1.89.0 counts bytes in its SARIF where it says that it counts characters, and writes paths that are no URIs.
#
# Expected: `columnKind` is `unicodeCodePoints`, so that `debugger` in `const word = "éé"; debugger;` begins in column
# 20; and `c#/app.js` is `c%23/app.js`, since the specification wants a URI there. ruff does both.
# Seen: column 22, two further, so that a reader marks other text or a place behind the end of the line; and everything
# from the # on is a fragment, which leaves the path `c`.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check "oxlint==1.89.0" "ruff==0.17.6"
mkdir -p "$folder/project/c#"
cd "$folder/project"
echo 'const word = "éé"; debugger;' >"c#/app.js"
echo 'word = "éé"; import os' >"c#/app.py"
"$folder/venv/bin/oxlint" --deny no-debugger --format sarif . >../oxlint.sarif || true
"$folder/venv/bin/ruff" check --isolated --select F401 --output-format sarif . >../ruff.sarif || true
"$folder/venv/bin/python" - <<'PYTHON'
import json
import sys
from pathlib import Path
from urllib.parse import unquote, urlsplit


def place(tool: str, rule: str) -> tuple[str | None, str, int]:
    """The unit of columns, and the path, as its URI is read, and the column of the one finding of *rule*."""
    (run,) = json.loads(Path(f"../{tool}.sarif").read_bytes())["runs"]
    (found,) = [result for result in run["results"] if rule in result["ruleId"]]
    place = found["locations"][0]["physicalLocation"]
    path = unquote(urlsplit(place["artifactLocation"]["uri"]).path).removeprefix(f"{Path.cwd()}/")
    return run.get("columnKind"), path, place["region"]["startColumn"]


seen = place("oxlint", "no-debugger")
other = place("ruff", "F401")
print("expected:", ("unicodeCodePoints", "c#/app.js", 20))
print("seen:    ", seen)
print("ruff:    ", other)
sys.exit(seen != ("unicodeCodePoints", "c", 22) or other[1:] != ("c#/app.py", 21))
PYTHON
