"""One project, two machines: the second one is refused while the first one may be at work."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
from msgspec import structs

from engine.errors import EnvironmentFault
from engine.opening import open_engine
from engine.runtime.owner import FileOwner, Reader
from engine.statefolder.identity import Process, this_process
from engine.statefolder.mounts import network_kind
from engine.statefolder.owners import FOLDER, LATE_SECONDS, take
from tests.support.by_hand import NOON
from tests.support.definitions import command, node, phase, plan

HERE = this_process()
ELSEWHERE = structs.replace(HERE, hostname="far", machine="another", boot="another", world="another")
RESTARTED = structs.replace(HERE, boot="earlier", world="earlier")
CONTAINER = structs.replace(HERE, hostname="box", machine="another", world="another")
"""Of this machine: its kernel, and so its locks, are the same."""
OPENERS: list[Callable[[Path], FileOwner | Reader]] = [FileOwner, Reader]


@contextmanager
def owned_by(process: Process, state: Path, *, seconds_ago: float = 0, alive: bool) -> Iterator[None]:
    """The record of a *process* that has renewed it some time ago, and holds its lock while it is *alive*."""
    folder = state / FOLDER
    folder.mkdir(exist_ok=True)
    held = take(folder, "o-other", process)
    renewed = held.renew(NOON) - seconds_ago
    os.utime(folder / "o-other.lock", (renewed, renewed))
    if not alive:
        os.close(held.record)
    try:
        yield
    finally:
        os.close(held.work)
        if alive:
            os.close(held.record)


@pytest.mark.parametrize("opened", OPENERS)
@pytest.mark.parametrize(
    ("process", "seconds_ago", "lock"),
    [(ELSEWHERE, 2 * LATE_SECONDS, "holds"), (ELSEWHERE, LATE_SECONDS / 2, "gone"), (RESTARTED, 0, "holds")],
    ids=["holds its lock", "was at work a short while ago", "holds its lock and has the id of this machine"],
)
def test_a_folder_that_another_machine_uses_is_refused(
    process: Process, seconds_ago: float, lock: str, opened: Callable[[Path], object], tmp_path: Path
) -> None:
    with owned_by(process, tmp_path, seconds_ago=seconds_ago, alive=lock == "holds"):
        with pytest.raises(EnvironmentFault) as caught:
            opened(tmp_path)
        assert caught.value.code == "PROJECT_ON_ANOTHER_HOST"
        assert process.hostname in caught.value.message
        assert "a separate clone" in (caught.value.hint or ""), "what to use instead"
        left = {path.name for path in (tmp_path / FOLDER).iterdir()}
        assert left == {"o-other.lock", "o-other.work"}


@pytest.mark.parametrize("opened", OPENERS)
@pytest.mark.parametrize(
    ("process", "seconds_ago", "lock"),
    [
        (HERE, 0, "holds"),
        (CONTAINER, 0, "holds"),
        (RESTARTED, 0, "gone"),
        (ELSEWHERE, 2 * LATE_SECONDS, "gone"),
    ],
    ids=["this machine", "a container of this machine", "this machine before its restart", "one long gone"],
)
def test_a_folder_that_no_other_machine_uses_is_opened(
    process: Process, seconds_ago: float, lock: str, opened: Callable[[Path], FileOwner | Reader], tmp_path: Path
) -> None:
    with owned_by(process, tmp_path, seconds_ago=seconds_ago, alive=lock == "holds"):
        opened(tmp_path).close()


def test_a_record_that_says_nothing_is_judged_by_its_lock(tmp_path: Path) -> None:
    with owned_by(ELSEWHERE, tmp_path, alive=False):
        (tmp_path / FOLDER / "o-other.lock").write_text('{"pid": "x"}')
        owner = FileOwner(tmp_path)
        assert [path.stem for path in (tmp_path / FOLDER).glob("*.lock") if owner.is_alive(path.stem)] == [owner.id]  # type: ignore[arg-type]
        owner.close()


def test_an_owner_renews_its_record(tmp_path: Path) -> None:
    owner = FileOwner(tmp_path)
    record = tmp_path / FOLDER / f"{owner.id}.lock"
    os.utime(record, (1, 1))
    owner.renew(NOON)
    assert record.stat().st_mtime > 1
    record.unlink()
    owner.renew(NOON)
    owner.close()


def test_of_what_is_mounted_the_nearest_counts_and_only_what_others_may_have_is_told() -> None:
    mounts = [("/", "ext4"), ("/home", "nfs4"), ("/home/me/local", "xfs"), ("/homes", "cifs")]
    assert network_kind(Path("/home/me/project"), mounts) == "nfs4"
    assert network_kind(Path("/home/me/local/project"), mounts) is None
    assert network_kind(Path("/srv"), mounts) is None
    assert network_kind(Path("/srv"), []) is None


@pytest.mark.parametrize("mounted", ["nfs4", "ext4"])
async def test_a_network_file_system_alone_is_a_warning_of_every_run(
    mounted: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(psutil, "disk_partitions", lambda **_: [SimpleNamespace(mountpoint="/", fstype=mounted)])
    async with asyncio.timeout(30), open_engine(tmp_path) as engine:
        run = await engine.start(plan(command(phase("p", node("a")))), executor="host")
        while mounted == "nfs4" and not engine.notices:
            await engine.wait(run, 0.1)
        warnings = (await engine.view(run)).warnings
    assert [f"network file system ({mounted})" in text for text in warnings] == [True] * (mounted == "nfs4")
