"""The steps of the command: the first argument says which one; a step reads one JSON object and writes one.

Effects: reads the files that it measures.
"""

import json
import sys
from pathlib import Path

STATE = (".git", ".claude/orchestration")
"""Folders of git and of the engine, which are left out."""
MOST_FILES = 20


def find(inputs):
    """The files that match the pattern, the newest first."""
    found = [path for path in Path().glob(inputs["pattern"]) if path.is_file()]
    mine = [path for path in found if not path.as_posix().startswith(STATE)]
    newest = sorted(mine, key=lambda path: path.stat().st_mtime, reverse=True)[:MOST_FILES]
    return {"files": [{"path": path.as_posix()} for path in newest]}


def measure(inputs):
    """The size of one file, in bytes."""
    return {"sizes": Path(inputs["file"]["path"]).stat().st_size}


def report(inputs):
    """The largest files as text."""
    largest = sorted((inputs["sizes"] or {}).items(), key=lambda row: -row[1])[:5]
    text = "".join(f"{size:>10}  {path}\n" for path, size in largest)
    return {"report": f"{text}not measured: {len(inputs['unmeasured'] or [])}\n"}


STEPS = {"find": find, "measure": measure, "report": report}

if __name__ == "__main__":
    request = json.load(sys.stdin)
    json.dump({"outputs": STEPS[sys.argv[1]](request["inputs"])}, sys.stdout)
