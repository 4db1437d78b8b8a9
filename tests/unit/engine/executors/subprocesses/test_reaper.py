"""What a warden does with processes that it may not end."""

from __future__ import annotations

import os
import signal

import pytest

from engine.executors.subprocesses import reaper
from engine.executors.subprocesses.reaper import Termination


def ending_of(
    monkeypatch: pytest.MonkeyPatch, left: list[int], refused: set[int]
) -> tuple[Termination, list[tuple[int, int]]]:
    """The ending of *left* after its grace; those in *refused* belong to another user, the others die of KILL."""
    sent: list[tuple[int, int]] = []

    def kill(pid: int, number: int) -> None:
        sent.append((pid, number))
        if pid in refused:
            raise PermissionError
        if pid not in left:
            raise ProcessLookupError
        if number == signal.SIGKILL:
            left.remove(pid)

    monkeypatch.setattr(os, "kill", kill)
    return Termination(0, lambda: list(left)), sent


def test_what_belongs_to_another_user_is_given_up_when_all_else_has_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    left = [7, 8]
    one, _sent = ending_of(monkeypatch, left, {8})
    over = []
    for _ in range(2):
        one.pressed()
        over.append(one.over)
    assert over == [False, True]
    assert left == [8]


def test_what_ends_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    one, sent = ending_of(monkeypatch, [7], set())
    one.pressed()
    assert sent == [(7, signal.SIGSTOP), (7, signal.SIGKILL)]
    assert not one.over


def test_what_the_kernel_holds_is_given_up_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reaper, "PERSISTENCE", 0.0)
    monkeypatch.setattr(os, "kill", lambda _pid, _number: None)
    one = Termination(0, lambda: [7])
    one.pressed()
    assert one.over
