"""Marks the processes of an attempt through their environment, and finds what carries a mark.

Effects: reads the process table. It ends nothing.

A mark names the project, the process that began the attempt (as `statefolder/identity.py` names processes) and the
attempt. Children inherit it whatever session, group or parent they have. It is lost only by a program that empties its
environment or hides it from its own user.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import re
import socket
from collections.abc import Callable, Collection, Mapping
from pathlib import Path

import psutil

from engine.ids import AttemptId
from engine.statefolder.identity import HAS_PROC, Process, this_process
from engine.statefolder.owners import Servers, owners_of, records

ATTEMPT_VARIABLE = "ORCHESTRATION_ATTEMPT"
"""Tells an agent which attempt it works for."""
MARK_VARIABLE = "ORCHESTRATION_MARK"
"""Carries the marks of an attempt and of those around it, where an agent runs orchestrations itself."""

_MARK = re.compile(
    r"om[12]-(?P<project>[0-9a-f]{16})-(?:(?P<world>[0-9a-f]{12})-)?(?P<pid>\d+)-(?P<start>\d+)-"
    r"(?P<attempt>[0-9a-f]{16})(?P<kept>k?)"
)
"""The first version did not name its world."""


def mark_of(attempt: AttemptId, project: Path, *, keep: bool = False, server: Process | None = None) -> str:
    """The mark of *attempt*: whose it is and which one; *keep*: it may outlive the attempt.

    It belongs to *project* and to the process that runs it, by default this one.
    """
    server = server or this_process()
    whose = f"{server.world}-{server.pid}-{server.start}"
    return f"om2-{_project_id(project)}-{whose}-{_digest(attempt)}{'k' if keep else ''}"


def environment_of(
    attempt: AttemptId, mark: str, own: Mapping[str, str], *, ours: Mapping[str, str] = os.environ
) -> dict[str, str]:
    """The environment of an agent: *ours*, *own* over it, and the mark, which nothing overrides."""
    outer = os.environ.get(MARK_VARIABLE, "")
    return {**ours, **own, ATTEMPT_VARIABLE: attempt, MARK_VARIABLE: f"{outer} {mark}".strip()}


def carrying(mark: str) -> Callable[[str], bool]:
    """Whether an environment carries *mark*. ValueError for what is no mark: it could be part of every environment."""
    if _MARK.fullmatch(mark) is None:
        raise ValueError(f"{mark!r} is no mark of an attempt")
    return lambda environment: mark in environment


def has_lost_its_server(mark: str, project: Path) -> bool:
    """Whether the process has ended that began the attempt of *mark* in *project*; no, for a mark of elsewhere."""
    found = _MARK.fullmatch(mark)
    return found is not None and found["project"] == _project_id(project) and not _lives(found, _servers_of(project))


def orphans(
    project: Path, *, alive: Collection[AttemptId] = (), lost: Collection[AttemptId] = ()
) -> list[psutil.Process]:
    """The processes that killed servers of *project* have left, as `end_orphans` describes them."""
    return carriers(orphaned(project, _servers_of(project), alive=alive, lost=lost))


def orphaned(
    project: Path, servers: Servers, *, alive: Collection[AttemptId] = (), lost: Collection[AttemptId] = ()
) -> Callable[[str], bool]:
    """Whether what has an environment was left by a killed one of *servers*, as `end_orphans` describes it."""
    project_id = _project_id(project)
    spared = {_digest(attempt) for attempt in alive}
    cut_off = {_digest(attempt) for attempt in lost}

    def is_orphan(environment: str) -> bool:
        marks = [mark for mark in _MARK.finditer(environment) if mark["project"] == project_id]
        if not marks or any(mark["attempt"] in spared for mark in marks):
            return False
        if any(_lives(mark, servers, unknown=True) for mark in marks):
            return False
        return not marks[-1]["kept"] or marks[-1]["attempt"] in cut_off

    return is_orphan


def _servers_of(project: Path) -> Servers:
    return Servers(records(owners_of(project)))


def _lives(mark: re.Match[str], servers: Servers, *, unknown: bool = False) -> bool:
    return servers.live(mark["world"], int(mark["pid"]), int(mark["start"]), unknown=unknown)


def carriers(is_wanted: Callable[[str], bool], *, session: int | None = None) -> list[psutil.Process]:
    """Live processes of our user whose environment is wanted, or which belong to *session*; never this one."""

    def belongs(pid: int) -> bool:
        return (session is not None and _session_of(pid) == session) or is_wanted(_environment(pid))

    ours = os.getpid()
    found = []
    for pid in psutil.pids():
        if pid == ours or not belongs(pid):
            continue
        with contextlib.suppress(psutil.Error):
            process = psutil.Process(pid)
            # Asked again, now that the object holds the start time: the number may have gone to another process.
            if belongs(pid) and process.uids().real == os.getuid() and lives(process):
                found.append(process)
    return found


def _environment(pid: int) -> str:
    """The environment of a process as one text; empty where it may not be read, or has ended."""
    try:
        if HAS_PROC:
            # Ten times the speed of psutil, which matters: all processes are looked at after each attempt.
            with open(f"/proc/{pid}/environ", "rb") as file:  # noqa: PTH123 -- Path doubles the cost
                return file.read().decode("utf-8", "replace")
        return "\0".join(psutil.Process(pid).environ().values())
    except (OSError, psutil.Error):
        return ""


def _session_of(pid: int) -> int | None:
    try:
        return os.getsid(pid)
    except OSError:
        return None


def lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


@functools.lru_cache(maxsize=64)
def _project_id(project: Path) -> str:
    """Names a project among those of this user and machine; the host name keeps containers apart that share a path."""
    return hashlib.sha256(f"{socket.gethostname()}\0{os.getuid()}\0{project.resolve()}".encode()).hexdigest()[:16]


def _digest(attempt: AttemptId) -> str:
    return hashlib.sha256(attempt.encode()).hexdigest()[:16]
