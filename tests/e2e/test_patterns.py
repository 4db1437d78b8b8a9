"""The patterns of `orchestrate new` that need a model: the real Claude Code, a scripted model, and real tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.fake_messages_api import FakeMessagesApi, Route
from tests.support.gallery import played, write_command

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.fake_messages_api import Step

pytestmark = pytest.mark.nightly
TESTS = {"tests": "python -m pytest -q -p no:cacheprovider"}


def answering(**outputs: object) -> Step:
    return {"structured": {"outputs": outputs}}


async def test_three_views_are_taken_and_summed_up(api: FakeMessagesApi, home: Path, project: Path) -> None:
    write_command(project, "fan-out", "patterns")
    api.routes = [
        Route(match="Describe the structure", steps=[answering(structure="three modules")]),
        Route(match="Find where untrusted input", steps=[answering(security="one open door")]),
        Route(match="Find the work that grows", steps=[answering(speed="a loop in a loop")]),
        Route(match="Sum up the views", steps=[answering(summary="close the door")]),
    ]
    done = await played(project, "fan-out", home=home)
    assert (str(done.run.status), done.failures) == ("completed", {})
    assert done.values["summary"] == "close the door"
    prompt = api.turns_with("Sum up the views")[0].prompt
    assert all(view in prompt for view in ("three modules", "one open door", "a loop in a loop"))


async def test_findings_are_reported_if_they_were_not_refuted(api: FakeMessagesApi, home: Path, project: Path) -> None:
    write_command(project, "review", "patterns")
    fault, hole = (
        {"file": "calc.py", "line": line, "claim": text} for line, text in ((2, "subtracts"), (9, "injects"))
    )
    api.routes = [
        Route(match="Find faults in the scope", steps=[answering(findings=[fault])]),
        Route(match="Find input that can do harm", steps=[answering(findings=[hole])]),
        Route(
            match="Try to refute each finding with", steps=[answering(confirmed=[fault | {"evidence": "calc.py:2"}])]
        ),
        Route(match="Write the report", steps=[answering(review="# calc.py subtracts")]),
    ]
    done = await played(project, "review", home=home)
    assert (str(done.run.status), done.failures) == ("completed", {})
    assert done.values["review"] == "# calc.py subtracts"
    assert all(text in api.turns_with("Try to refute each finding with")[0].prompt for text in ("subtracts", "injects"))
    assert "injects" not in api.turns_with("Write the report")[0].prompt


async def test_tests_are_run_and_code_is_repaired_until_they_pass(
    api: FakeMessagesApi, home: Path, project: Path
) -> None:
    write_command(project, "repeat", "patterns")
    code = project / "calc.py"
    code.write_text("def add(a, b):\n    return a - b\n", encoding="utf-8")
    test = "from calc import add\n\n\ndef test_add():\n    assert add(2, 3) == 5\n"
    (project / "test_calc.py").write_text(test, encoding="utf-8")

    def repair(old: str, new: str) -> list[Step]:
        change = {"file_path": str(code), "old_string": old, "new_string": new}
        return [
            {"tool": "Read", "input": {"file_path": str(code)}},
            {"tool": "Edit", "input": change},
            answering(**{"fix-code": "mended"}),
        ]

    api.routes = [
        Route(match="Repair the code so that", attempts=[repair("a - b", "a * b"), repair("a * b", "a + b")]),
    ]
    done = await played(project, "repeat", home=home, arguments=TESTS)
    assert (str(done.run.status), done.failures) == ("completed", {})
    assert done.values["result"]["passed"] is True
    assert code.read_text(encoding="utf-8").endswith("a + b\n")
    assert "assert -1 == 5" in api.turns_with("Repair the code so that")[0].prompt
    assert done.states["until-green/3/fix-code"] == "skipped"
