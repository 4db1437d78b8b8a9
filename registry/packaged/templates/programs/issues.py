"""Reads and labels the issues of the repository on GitHub with `gh`, for agents of a command.

The first word of its command line says what it does:

    list     outputs `issues`: [{number, title, body, labels, author}], open ones without a label, and `labels`: the
             names of all labels of the repository
    propose  takes `issues`, `labels` and `triage` (by number), outputs `proposals`: [{number, title, labels}]. Only
             labels that the repository has are proposed, so no text of an issue can invent one
    label    takes `proposal`, adds its labels to the issue; undone: removes them again

`gh` needs a login (`gh auth login`), or GH_TOKEN in `env` of the agent's file.

Effects: runs gh, without a shell; `label` changes the issue.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

MAX_ISSUES = 50
MAX_BODY = 8_000
FIELDS = "number,title,body,labels,author"


class Failure(Exception):
    """An expected failure: its code, and a message for people."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def gh(*words: str) -> str:
    """The output of gh; Failure (GH_FAILED) with its complaint."""
    try:
        ran = subprocess.run(["gh", *words], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    except OSError as error:
        raise Failure("GH_MISSING", f"gh cannot be started: {error.strerror}") from error
    if ran.returncode != 0:
        raise Failure("GH_FAILED", f"gh {' '.join(words[:2])}: {ran.stderr.strip()[-500:]}")
    return ran.stdout


def listed() -> dict[str, Any]:
    """The issues that wait for triage, and the labels that they can get."""
    search = ["--state", "open", "--search", "no:label", "--limit", str(MAX_ISSUES), "--json", FIELDS]
    issues = json.loads(gh("issue", "list", *search))
    labels = json.loads(gh("label", "list", "--limit", "200", "--json", "name"))
    return {
        "issues": [
            {
                "number": issue["number"],
                "title": issue["title"],
                "body": (issue["body"] or "")[:MAX_BODY],
                "labels": [label["name"] for label in issue["labels"]],
                "author": (issue["author"] or {}).get("login", ""),
            }
            for issue in issues
        ],
        "labels": sorted(label["name"] for label in labels),
    }


def proposals(inputs: dict[str, Any]) -> list[dict[str, Any]]:
    """For each issue that was triaged: the labels that it shall get, of those that there are."""
    known, found = set(inputs["labels"]), []
    for issue in inputs["issues"]:
        triage = inputs["triage"].get(str(issue["number"]))
        wanted = [label for label in (triage or {}).get("labels", ()) if label in known - set(issue["labels"])]
        if triage is not None and wanted:
            found.append({"number": issue["number"], "title": issue["title"], "labels": wanted})
    return found


def label(proposal: dict[str, Any], change: str) -> None:
    """Add or remove the labels of *proposal*."""
    words = [word for name in proposal["labels"] for word in (change, name)]
    gh("issue", "edit", str(int(proposal["number"])), *words)


def main() -> dict[str, Any]:
    request = json.load(sys.stdin)
    action, inputs = sys.argv[1], request["inputs"]
    try:
        if action == "list":
            return {"outputs": listed()}
        if action == "propose":
            return {"outputs": {"proposals": proposals(inputs)}}
        undone = request.get("role") == "compensate"
        label(inputs["proposal"], "--remove-label" if undone else "--add-label")
    except Failure as failure:
        return {"failure": {"kind": "error", "code": failure.code, "message": str(failure)}}
    return {"outputs": {} if undone else {"labelled": inputs["proposal"]["number"]}}


if __name__ == "__main__":
    json.dump(main(), sys.stdout)
