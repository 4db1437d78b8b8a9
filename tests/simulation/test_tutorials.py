"""The guide's commands behave as its tutorials say, with and without failures."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from engine.ids import NodeId
from engine.run.events import RunStatus
from tests.support.runs import duration, simulated, starts, states, undone

COMMANDS = Path(__file__).parents[2] / ".claude" / "commands" / "v2"


def guide(name: str) -> dict[str, Any]:
    """A command of the guide as its file has it."""
    raw: dict[str, Any] = json.loads((COMMANDS / f"{name}.json").read_text(encoding="utf-8"))
    return raw


@pytest.mark.parametrize(
    ("name", "minutes"), [("review-code", 20), ("analyze-api", 20), ("implement-feature", 95), ("hello-world", 5 / 60)]
)
def test_a_command_of_the_guide_takes_the_time_that_the_guide_promises(name: str, minutes: float) -> None:
    done = simulated(guide(name))
    assert done.run.status is RunStatus.COMPLETED
    assert duration(done) == timedelta(minutes=minutes)


def test_the_reviewers_start_together_and_the_report_after_both() -> None:
    assert starts(simulated(guide("review-code"))) == [
        ("analyzer", 0),
        ("security-review", 300),
        ("quality-review", 300),
        ("report-generator", 900),
    ]


def test_a_failing_review_is_tried_again_after_two_and_four_seconds_and_the_command_goes_on() -> None:
    done = simulated(guide("analyze-api"), fail=("security-review=error",))
    tries = [second for node, second in starts(done) if node == "security-review"]
    assert tries == [300, 300 + 300 + 2, 300 + 300 + 2 + 300 + 4]
    assert done.run.status is RunStatus.DEGRADED
    assert states(done)["synthesizer"] == "completed"
    assert done.run.message == "1 node failed: security-review"


def test_a_transient_failure_is_forgotten_once_a_retry_succeeds() -> None:
    done = simulated(guide("analyze-api"), fail=("security-review:1=error",))
    assert done.run.status is RunStatus.COMPLETED


def test_e2e_tests_are_skipped_when_unit_tests_fail() -> None:
    done = simulated(guide("implement-feature"), given=('unit-tests.unit_test_results={"passed": false}',))
    assert states(done)["e2e-tests"] == "skipped"
    assert (
        done.run.nodes[NodeId("e2e-tests")].skip_message
        == "Skipping e2e tests due to unit or integration test failures"
    )
    assert done.run.status is RunStatus.COMPLETED


def test_a_failed_schema_migration_is_rolled_back_and_the_data_migration_never_runs() -> None:
    done = simulated(guide("database-migration"), fail=("migrate-schema=error",))
    assert undone(done) == ["migrate-schema"]
    assert "migrate-data" not in [node for node, _ in starts(done)]
    assert done.run.status is RunStatus.COMPENSATED


def test_a_failed_data_migration_restores_data_first_then_the_schema() -> None:
    done = simulated(guide("database-migration"), fail=("migrate-data=error/CORRUPT",))
    assert undone(done) == ["migrate-data", "migrate-schema"]
    assert done.run.status is RunStatus.COMPENSATED


def test_a_data_migration_that_times_out_is_tried_three_times_more() -> None:
    done = simulated(guide("database-migration"), fail=("migrate-data=timeout",))
    assert len([node for node, _ in starts(done) if node == "migrate-data"]) == 4
    failure = done.run.nodes[NodeId("migrate-data")].failure
    assert failure is not None
    assert failure.message == (
        'Node "migrate-data" timed out after 1800000ms\n'
        "Estimated time was: 600000ms\n"
        "Actual time exceeded by: 1200000ms"
    )
    assert undone(done) == ["migrate-data", "migrate-schema"]
    assert done.run.status is RunStatus.COMPENSATED


def test_a_failed_integrity_check_rolls_the_whole_migration_back() -> None:
    done = simulated(guide("database-migration"), given=("validate-integrity.integrity_valid=false",))
    assert undone(done) == ["migrate-data", "migrate-schema"]
    assert states(done)["cleanup"] == "cancelled"
    assert done.run.status is RunStatus.COMPENSATED


def test_a_compensation_that_fails_is_told_and_the_others_still_run() -> None:
    done = simulated(guide("database-migration"), fail=("migrate-data=error/CORRUPT", "migrate-data:2=error/NO_BACKUP"))
    assert undone(done) == ["migrate-data", "migrate-schema"]
    assert done.run.status is RunStatus.COMPENSATION_FAILED
    assert done.run.message.splitlines()[0] == 'Compensation failed for node "migrate-data"'
    assert states(done)["migrate-schema"] == "compensated"
