"""Tags the processes of an attempt through their environment, and finds processes by their tag.

Effects: reads the process table. It ends nothing.

A tag names the project, the process that began the attempt (as `statefolder/identity.py` names processes) and the
attempt. Children inherit it whatever session, group or parent they have. Only a program that empties its environment,
or hides it from its own user, loses it.
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

from engine.executors.subprocesses.process_table import TABLE, Row, row_of
from engine.ids import AttemptId
from engine.statefolder.identity import Process, this_process
from engine.statefolder.owners import Servers, owners_of, records

ATTEMPT_VARIABLE = "ORCHESTRATION_ATTEMPT"
"""Names the attempt to its agent."""
TAG_VARIABLE = "ORCHESTRATION_MARK"
"""Holds the tags of an attempt and of those around it, if an agent runs orchestrations itself."""

_TAG = re.compile(
    r"om[12]-(?P<project>[0-9a-f]{16})-(?:(?P<world>[0-9a-f]{12})-)?(?P<pid>\d+)-(?P<start>\d+)-"
    r"(?P<attempt>[0-9a-f]{16})(?P<kept>k?)"
)
"""The first version had no world in the tag."""


def tag_of(attempt: AttemptId, project: Path, *, keep: bool = False, server: Process | None = None) -> str:
    """The tag of *attempt*; *keep*: the processes may outlive the attempt.

    It names *project* and the process that runs the attempt, by default this one.
    """
    server = server or this_process()
    whose = f"{server.world}-{server.pid}-{server.start}"
    return f"om2-{_project_id(project)}-{whose}-{_digest(attempt)}{'k' if keep else ''}"


def environment_of(
    attempt: AttemptId, tag: str, own: Mapping[str, str], *, ours: Mapping[str, str] = os.environ
) -> dict[str, str]:
    """The environment of an agent: *ours*, overridden by *own*, and the tag, which nothing overrides."""
    outer = os.environ.get(TAG_VARIABLE, "")
    return {**ours, **own, ATTEMPT_VARIABLE: attempt, TAG_VARIABLE: f"{outer} {tag}".strip()}


def carrying(tag: str) -> Callable[[str], bool]:
    """A test whether an environment holds *tag*. ValueError for an invalid tag, which any environment might hold."""
    if _TAG.fullmatch(tag) is None:
        raise ValueError(f"{tag!r} is not the tag of an attempt")
    return lambda environment: tag in environment


def has_lost_its_server(tag: str, project: Path) -> bool:
    """Whether the server that began the attempt of *tag* in *project* has ended; False for tags of other projects."""
    found = _TAG.fullmatch(tag)
    return found is not None and found["project"] == _project_id(project) and not _lives(found, _servers_of(project))


def orphans(
    project: Path, *, alive: Collection[AttemptId] = (), lost: Collection[AttemptId] = ()
) -> list[psutil.Process]:
    """The processes that killed servers of *project* left behind, as defined by `end_orphans`."""
    return carriers(orphaned(project, _servers_of(project), alive=alive, lost=lost))


def orphaned(
    project: Path, servers: Servers, *, alive: Collection[AttemptId] = (), lost: Collection[AttemptId] = ()
) -> Callable[[str], bool]:
    """A test whether an environment is that of an orphan of *servers*, as defined by `end_orphans`."""
    project_id = _project_id(project)
    spared = {_digest(attempt) for attempt in alive}
    cut_off = {_digest(attempt) for attempt in lost}

    def is_orphan(environment: str) -> bool:
        tags = [tag for tag in _TAG.finditer(environment) if tag["project"] == project_id]
        if not tags or any(tag["attempt"] in spared for tag in tags):
            return False
        if any(_lives(tag, servers, unknown=True) for tag in tags):
            return False
        return not tags[-1]["kept"] or tags[-1]["attempt"] in cut_off

    return is_orphan


def _servers_of(project: Path) -> Servers:
    return Servers(records(owners_of(project)))


def _lives(tag: re.Match[str], servers: Servers, *, unknown: bool = False) -> bool:
    return servers.live(tag["world"], int(tag["pid"]), int(tag["start"]), unknown=unknown)


def carriers(is_wanted: Callable[[str], bool], *, session: int | None = None) -> list[psutil.Process]:
    """Live processes of our user with a wanted environment, or of *session*; never this one."""

    def belongs(row: Row) -> bool:
        return (session is not None and row.session == session) or is_wanted(row.environment)

    found = []
    for row in TABLE.rows():
        if not belongs(row):
            continue
        with contextlib.suppress(psutil.Error):
            process = psutil.Process(row.pid)
            # Checked again, now that the object holds the start time: the id may have gone to another process.
            if belongs(row_of(row.pid)) and process.uids().real == os.getuid() and lives(process):
                found.append(process)
    return found


def lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


@functools.lru_cache(maxsize=64)
def _project_id(project: Path) -> str:
    """Identifies a project on this machine; the host name distinguishes containers that share a path."""
    return hashlib.sha256(f"{socket.gethostname()}\0{os.getuid()}\0{project.resolve()}".encode()).hexdigest()[:16]


def _digest(attempt: AttemptId) -> str:
    return hashlib.sha256(attempt.encode()).hexdigest()[:16]
