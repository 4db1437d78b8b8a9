"""Runs the tests, and answers with whether they passed and the end of what they printed.

Effects: starts the command line of the input `tests`, without a shell.
"""

import json
import shlex
import subprocess
import sys

LAST_CHARACTERS = 8000


def check(inputs):
    """Whether the tests pass. A program that is missing is a failure of this step: trying again would not help."""
    try:
        words = shlex.split(inputs["tests"]) or [""]
        done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    except (OSError, ValueError) as error:
        message = f"{inputs['tests']} cannot be started: {error}"
        return {"failure": {"kind": "validation", "code": "TESTS_MISSING", "message": message}}
    text = done.stdout.decode("utf-8", "replace")[-LAST_CHARACTERS:]
    return {"outputs": {"result": {"passed": done.returncode == 0, "output": text}}}


if __name__ == "__main__":
    json.dump(check(json.load(sys.stdin)["inputs"]), sys.stdout)
