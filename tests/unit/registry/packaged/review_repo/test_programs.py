"""Programs are bounded in time and output, and requests are answered whatever they hold."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import psutil
import pytest

from registry.packaged.review_repo import programs
from registry.packaged.review_repo.answer import Refusal, answering, section
from registry.packaged.review_repo.git import open_repository
from registry.packaged.review_repo.programs import batches, run
from tests.support.workers import wait_for_death

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.registry.packaged.review_repo.conftest import Repo


def test_a_program_that_hangs_is_stopped_with_its_children(tmp_path: Path) -> None:
    child = "import os, subprocess, sys; p = subprocess.Popen(['sleep', '300']); print(p.pid, flush=True); p.wait()"
    done = run([sys.executable, "-c", child], cwd=tmp_path, seconds=2)
    assert done.timed_out
    wait_for_death(int(done.stdout))


def test_a_program_that_writes_without_end_is_stopped(tmp_path: Path) -> None:
    done = run([sys.executable, "-c", "while True: print('x' * 1000)"], cwd=tmp_path, seconds=50, limit=10_000)
    assert done.truncated
    assert not done.timed_out
    assert len(done.stdout) == 10_000


def test_a_program_may_leave_its_input_unread(tmp_path: Path) -> None:
    done = run([sys.executable, "-c", "print(1)"], cwd=tmp_path, seconds=20, stdin=b"x" * 1_000_000)
    assert (done.code, done.stdout.strip()) == (0, b"1")


def test_a_program_reads_all_that_it_is_given_while_it_writes(tmp_path: Path) -> None:
    data = bytes(range(256)) * 4_000
    done = run(["cat"], cwd=tmp_path, seconds=20, stdin=data)
    assert (done.code, done.stdout) == (0, data)


@pytest.mark.parametrize("streams", ["sys.stdout.close(); sys.stderr.close(); os.close(1); os.close(2)", "pass"])
def test_a_program_that_does_not_end_is_stopped_whether_its_output_has_ended_or_not(
    tmp_path: Path, streams: str
) -> None:
    done = run([sys.executable, "-c", f"import os, sys, time; {streams}; time.sleep(300)"], cwd=tmp_path, seconds=1)
    assert done.timed_out
    assert done.code < 0


def test_an_orphan_that_holds_the_output_does_not_hold_the_review(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(programs, "KILL_SECONDS", 0.1)
    child = "import subprocess; print(subprocess.Popen(['sleep', '50']).pid)"
    done = run([sys.executable, "-c", child], cwd=tmp_path, seconds=1)
    orphan = psutil.Process(int(done.stdout))
    orphan.kill()
    assert done.timed_out
    assert done.code == 0


def test_the_complaint_is_the_last_line_of_stderr(tmp_path: Path) -> None:
    loud = run([sys.executable, "-c", "raise SystemExit('no\\nreally no')"], cwd=tmp_path, seconds=20)
    mute = run([sys.executable, "-c", "raise SystemExit(3)"], cwd=tmp_path, seconds=20)
    assert (loud.complaint, mute.complaint) == ("really no", "exit status 3")


def test_names_are_split_by_count_and_by_length() -> None:
    assert list(batches(["./a", "./b", "./c"], files=2, characters=1000)) == [["./a", "./b"], ["./c"]]
    assert [len(batch) for batch in batches(["x" * 20_000] * 3, files=9, characters=30_000)] == [1, 1, 1]
    assert list(batches([], files=1, characters=1)) == []


def test_git_ignores_the_repository_that_a_calling_hook_names(
    repo: Repo, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    repo.commit(**{"a.py": "x = 1\n"})
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))
    assert open_repository(repo.root).commits == 1


def test_a_detached_head_has_no_branch(repo: Repo) -> None:
    repo.commit(**{"a.py": "x = 1\n"})
    repo.git("checkout", "-q", "--detach")
    assert open_repository(repo.root).branch is None


def test_a_bare_repository_is_refused(tmp_path: Path, repo: Repo) -> None:
    repo.git("init", "-q", "--bare", str(tmp_path / "bare"))
    with pytest.raises(Refusal) as refused:
        open_repository(tmp_path / "bare")
    assert refused.value.code == "NOT_A_REPOSITORY"


@pytest.mark.parametrize(
    ("request_", "seen"),
    [({"inputs": {"a": 1}}, {"a": 1}), ({}, {}), ({"inputs": 3}, {}), ({"costUsd": 2}, {"costUsd": 2})],
)
def test_a_request_is_answered(request_: dict[str, object], seen: dict[str, int]) -> None:
    assert answering(lambda inputs: {"seen": dict(inputs)})(request_) == {"outputs": {"seen": seen}}


def test_an_input_that_is_no_object_is_none() -> None:
    assert section({"a": [1]}, "a") == {}
