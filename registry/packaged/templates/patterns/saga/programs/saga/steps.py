"""The steps of the saga and how each is undone: the first argument says which step.

Effects: writes and removes files in `build/saga`.
"""

import json
import sys
from pathlib import Path

FOLDER = Path("build/saga")


def write(inputs):
    """Write the draft."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    (FOLDER / "draft.txt").write_text(inputs["text"] + "\n", encoding="utf-8")
    return {"draft": "draft.txt"}


def publish(inputs):
    """Copy the draft to where it is public."""
    text = (FOLDER / inputs["draft"]).read_text(encoding="utf-8")
    (FOLDER / "published.txt").write_text(text, encoding="utf-8")
    return {"published": "published.txt"}


def check(inputs):
    """Fail if the published text says that it is broken."""
    text = (FOLDER / inputs["published"]).read_text(encoding="utf-8").strip()
    if text == "broken":
        return {"kind": "error", "code": "CHECK_FAILED", "message": "the published text is broken"}
    return {"verdict": f"published: {text}"}


def remove(produced):
    """Undo a step: remove the file that it has made."""
    for name in produced.values():
        (FOLDER / name).unlink(missing_ok=True)
    return {}


STEPS = {"write": write, "publish": publish, "check": check}

if __name__ == "__main__":
    request = json.load(sys.stdin)
    undo = request.get("role") == "compensate"
    answer = remove(request["produced"]) if undo else STEPS[sys.argv[1]](request["inputs"])
    json.dump({"failure": answer} if "kind" in answer else {"outputs": answer}, sys.stdout)
