"""Phases in place run, fail, are undone and are resumed as one node."""

from __future__ import annotations

import pytest

from engine.errors import StateError
from engine.ids import NodeId
from engine.run import signals as sig
from tests.support.by_hand import ByHand, rollback
from tests.support.definitions import Raw, command, in_place, node, phase


def release(**fields: object) -> Raw:
    """Two phases in place: a value goes in, one of them undoes its work, a value comes out."""
    return in_place(
        "release",
        phase("check", node("scan", context={"inputs": [{"key": "image"}], "outputs": [{"key": "report"}]})),
        phase(
            "publish",
            node("upload", "scan", context={"inputs": [{"key": "report"}], "outputs": [{"key": "url"}]})
            | {"compensation": rollback()},
            node("announce", "upload", context={"inputs": [{"key": "url"}]}),
        ),
        needs=("build",),
        context={"inputs": [{"key": "image"}], "outputs": [{"key": "url"}]},
        **fields,
    )


BUILD = node("build", context={"outputs": [{"key": "image"}]})
READ = node("read", "release", context={"inputs": [{"key": "url", "required": False}]})


def test_values_go_in_and_come_out_and_nothing_else_crosses() -> None:
    run = ByHand(command(phase("one", BUILD, release(), READ)))
    run.succeed("build", image="app:1")
    assert run.status("release") == "running"
    assert run.live() == ["release/scan"]
    run.succeed("release/scan", report="clean")
    run.succeed("release/upload", url="https://example.org")
    run.succeed("release/announce")
    assert run.live() == ["read"]
    run.succeed("read")
    assert run.state() == "completed"
    assert sorted(run.run.context) == sorted(
        ["image", "release/image", "release/report", "release/url", "url"],
    )


def test_a_failure_inside_undoes_what_is_inside_and_the_phase_goes_on() -> None:
    run = ByHand(command(phase("one", BUILD, release(), READ, continueOnError=True)))
    run.succeed("build", image="app:1")
    run.succeed("release/scan", report="clean")
    run.succeed("release/upload", url="https://example.org")
    run.fail("release/announce")
    assert run.live() == ["release/upload"]
    assert run.undone() == ["release/upload"]
    run.succeed("release/upload")
    assert (run.status("release"), run.status("release/upload")) == ("failed", "compensated")
    assert run.live() == ["read"]
    run.succeed("read")
    assert run.state() == "degraded"


def test_a_failure_inside_stops_the_run_where_the_phase_does_not_go_on() -> None:
    run = ByHand(command(phase("one", BUILD, release(), READ)))
    run.succeed("build", image="app:1")
    run.succeed("release/scan", report="clean")
    run.succeed("release/upload", url="https://example.org")
    run.fail("release/announce")
    run.succeed("release/upload")
    assert (run.state(), run.undone(), run.status("read")) == ("compensated", ["release/upload"], "cancelled")


def test_the_timeout_of_the_node_is_that_of_all_its_phases() -> None:
    run = ByHand(command(phase("one", BUILD, release(timeout=120_000))))
    run.succeed("build", image="app:1")
    run.succeed("release/scan", report="clean")
    run.wait(minutes=2)
    run.stopped("release/upload")
    assert run.state() in {"failed", "compensated", "compensating"}
    assert run.run.failures == ["release"]


def test_a_crashed_run_goes_on_inside() -> None:
    run = ByHand(command(phase("one", BUILD, release())))
    run.succeed("build", image="app:1")
    run.succeed("release/scan", report="clean")
    run.crash()
    run.resume()
    assert run.live() == ["release/upload"]
    run.succeed("release/upload", url="https://example.org")
    run.succeed("release/announce")
    assert (run.state(), len(run.node("release/scan").attempts)) == ("completed", 1)


def test_a_retried_run_repeats_what_failed_inside_and_keeps_the_rest() -> None:
    run = ByHand(command(phase("one", BUILD, release(), continueOnError=True)))
    run.succeed("build", image="app:1")
    run.fail("release/scan")
    assert run.state() == "degraded"
    run.resume(failed=True)
    assert run.live() == ["release/scan"]
    assert len(run.node("build").attempts) == 1


def test_an_output_that_nothing_wrote_fails_the_node() -> None:
    skipped = node("upload", context={"outputs": [{"key": "url"}]})
    skipped["skipCondition"] = {"type": "context", "expression": "1 == 1"}
    group = in_place("release", phase("in", skipped), context={"outputs": [{"key": "url"}]})
    run = ByHand(command(phase("one", group)))
    failure = run.node("release").failure
    assert failure is not None
    assert failure.code == "MISSING_OUTPUT"
    assert failure.message.startswith('Node "release" produced no output "url"\nNode "release/upload", which writes')


def test_its_work_is_not_reported_by_the_client() -> None:
    run = ByHand(command(phase("one", in_place("release", phase("in", node("upload"))))), executor="host")
    with pytest.raises(StateError, match="does no work itself"):
        run.send(sig.ReportOutcome(NodeId("release"), 1))
