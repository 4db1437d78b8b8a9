"""Runs the project's tests and says which of them fail, for agents of a command.

Its command line is `run_tests.py [--times N] PROGRAM ARGUMENT…`, the words of your test command. `{report}` in a word
stands for a file to which the tests write a report in JUnit's format, as pytest, Jest, Vitest, Gradle and most others
can; without it, only the end of the output is known. Outputs, those of them that the node declares:

    test_report   {passed, failed, failures: [{test, message, detail}]}
    tests_pass    boolean
    flaky_tests   [{test, failed, runs, messages}]: the tests that failed in some of N runs, not in all
    broken_tests  [{test, failed, runs, messages}]: those that failed in all
    rerun         {stable, failed, runs}: whether the test `flake.test` of the inputs failed in none

Effects: runs the tests, without a shell.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

MAX_FAILURES = 50
"""Failures that are listed one by one; `failed` counts all."""
MAX_DETAIL = 4_000
MAX_REPORT_BYTES = 50_000_000
WHOLE = "(the whole test run)"


def run(argv: list[str]) -> dict[str, Any]:
    """One run of the tests: its report, with the failures by name."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "report.xml")
        words = [word.replace("{report}", str(report)) for word in argv]
        ran = subprocess.run(
            words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
        )
        said = ran.stdout.decode("utf-8", "replace")[-MAX_DETAIL:]
        failures = failures_in(report)
    if ran.returncode != 0 and not failures:  # it did not start, was killed, or found no test
        failures = [{"test": WHOLE, "message": f"the tests ended with exit code {ran.returncode}", "detail": said}]
    passed = ran.returncode == 0 and not failures
    return {"passed": passed, "failed": len(failures), "failures": failures}


def failures_in(report: Path) -> list[dict[str, str]]:
    """The failed tests of a report in JUnit's format, in its order; none if there is no report."""
    if not report.is_file() or report.stat().st_size > MAX_REPORT_BYTES:
        return []
    found = []
    for case in ET.parse(report).iter("testcase"):  # noqa: S314 - written by the project's own tests
        for fault in (*case.findall("failure"), *case.findall("error")):
            place = case.get("file") or case.get("classname") or ""
            detail = (fault.text or "").strip()
            message = (fault.get("message") or detail).strip()[:500]
            name = f"{place}::{case.get('name', '')}"
            found.append({"test": name, "message": message, "detail": detail[-MAX_DETAIL:]})
    return found


def counted(runs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Each test that failed in some run, with how often and how."""
    found: dict[str, dict[str, Any]] = {}
    for report in runs:
        for failure in {one["test"]: one for one in report["failures"]}.values():
            entry = found.setdefault(failure["test"], {"test": failure["test"], "failed": 0, "messages": []})
            entry["failed"] += 1
            if failure["message"] not in entry["messages"]:
                entry["messages"].append(failure["message"])
    return [entry | {"runs": len(runs), "messages": entry["messages"][:3]} for entry in found.values()]


def values(runs: list[dict[str, Any]], inputs: dict[str, Any]) -> dict[str, Any]:
    """All that can be said about *runs*."""
    last, seen = runs[-1], counted(runs)
    asked = {inputs.get("flake", {}).get("test"), WHOLE}
    failed = sum(entry["failed"] for entry in seen if entry["test"] in asked)
    return {
        "test_report": last | {"failures": last["failures"][:MAX_FAILURES]},
        "tests_pass": all(report["passed"] for report in runs),
        "flaky_tests": [entry for entry in seen if entry["failed"] < len(runs)],
        "broken_tests": [entry for entry in seen if entry["failed"] == len(runs)],
        "rerun": {"stable": failed == 0, "failed": failed, "runs": len(runs)},
    }


def main() -> dict[str, Any]:
    request = json.load(sys.stdin)
    argv, times = sys.argv[1:], 1
    if argv[:1] == ["--times"]:
        times, argv = int(argv[1]), argv[2:]
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"  # a .pyc of the same second would hide an edit of the same length
    try:
        known = values([run(argv) for _ in range(times)], request["inputs"])
    except OSError as error:
        message = f"{argv[0]} cannot be started: {error.strerror}"
        return {"failure": {"kind": "error", "code": "TESTS_NOT_STARTED", "message": message}}
    except ET.ParseError as error:
        message = f"the report of the tests is not XML: {error}"
        return {"failure": {"kind": "error", "code": "TEST_REPORT_INVALID", "message": message}}
    return {"outputs": {key: known[key] for key in request["outputs"]}}


if __name__ == "__main__":
    json.dump(main(), sys.stdout)
