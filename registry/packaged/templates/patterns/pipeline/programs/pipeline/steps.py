"""The steps of the pipeline: the first argument says which one; a step reads one JSON object and writes one.

Effects: reads the files that it counts.
"""

import json
import sys
from pathlib import Path

STATE = (".git", ".claude/orchestration")
"""Folders of git and of the engine, which are left out."""
MOST_FILES = 10_000


def list_files(inputs):
    """All files that match the pattern."""
    found = (path for path in sorted(Path().glob(inputs["pattern"])) if path.is_file())
    names = [path.as_posix() for path in found]
    return {"files": [name for name in names if not name.startswith(STATE)][:MOST_FILES]}


def count_lines(inputs):
    """The number of lines by the ending of the file's name."""
    lines = {}
    for name in inputs["files"]:
        kind = Path(name).suffix or "(none)"
        lines[kind] = lines.get(kind, 0) + Path(name).read_bytes().count(b"\n")
    return {"lines": lines}


def write_report(inputs):
    """The report as text."""
    rows = sorted(inputs["lines"].items(), key=lambda row: -row[1])
    text = "".join(f"{number:>8}  {kind}\n" for kind, number in rows)
    return {"report": f"{text}first files: {', '.join(inputs['files']) or 'none'}\n"}


STEPS = {"list": list_files, "count": count_lines, "report": write_report}

if __name__ == "__main__":
    request = json.load(sys.stdin)
    json.dump({"outputs": STEPS[sys.argv[1]](request["inputs"])}, sys.stdout)
