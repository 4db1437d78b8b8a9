"""Nothing of an attempt is left, as a fact: whatever its programs do, and whoever is killed."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import psutil
import pytest

from engine.executors.port import Outcome, WorkOrder
from engine.executors.process import ProcessExecutor
from engine.executors.subprocesses import wardens
from engine.executors.subprocesses.process_tags import environment_of, tag_of
from engine.executors.subprocesses.program import Ended, run_program
from engine.executors.subprocesses.search import end_orphans
from engine.executors.subprocesses.wardens import Wardens, wardens_for
from engine.executors.subprocesses.zygote import UNSUPPORTED
from engine.ids import AttemptId
from engine.model.agent import Agent
from engine.statefolder.links import STATE
from engine.statefolder.owners import FOLDER
from tests.support.leaving import PROGRAM, WAYS, left_in, nothing_stays
from tests.support.orders import Beats, alive_with, order_for

pytestmark = [
    pytest.mark.processes,
    pytest.mark.skipif(sys.platform != "linux", reason="only Linux has child subreapers"),
]
SECONDS = 30
"""Bound of every wait."""
ROOT = Path(__file__).parents[2]
ANSWER = "print('{\"outputs\": {}}')"


def order_of(code: str, folder: Path, *, keep: bool = False) -> WorkOrder:
    (folder / "agent.py").write_text(PROGRAM + textwrap.dedent(code))
    return order_for(Agent(id="a", command=("{python}", "agent.py"), keep_processes=keep), project=folder)


async def run(order: WorkOrder) -> Outcome:
    return await asyncio.wait_for(ProcessExecutor().execute(order, Beats()), SECONDS)


@contextlib.asynccontextmanager
async def under_way(order: WorkOrder) -> AsyncIterator[asyncio.Future[Outcome]]:
    """The attempt, whose program has said a word on stderr; it is cancelled at the end of the block."""
    ready = asyncio.Event()

    def listen(action: str | None, said: str) -> None:
        if said and action is None:
            ready.set()

    task = asyncio.ensure_future(ProcessExecutor().execute(order, Beats(listen)))
    waiting = asyncio.ensure_future(ready.wait())
    await asyncio.wait([task, waiting], timeout=SECONDS, return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    try:
        yield task
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.wait_for(task, SECONDS)


READY = "print('ready', file=sys.stderr, flush=True); signal.pause()"


@pytest.mark.parametrize("way", WAYS)
async def test_what_a_program_leaves_has_ended_when_its_attempt_has(way: str, tmp_path: Path) -> None:
    with nothing_stays(tmp_path):
        outcome = await run(order_of(f"leave({way!r})\n{ANSWER}", tmp_path))
        assert outcome.failure is None
        assert (tmp_path / "pids").exists()
        assert left_in(tmp_path) == []


async def test_children_that_are_just_being_started_when_the_program_ends_have_ended_too(tmp_path: Path) -> None:
    code = f"""
        note = "import os; open('pids', 'a').write(f'{{os.getpid()}}\\\\n'); import time; time.sleep(600)"
        for _ in range(60):
            if os.fork() == 0:
                os.close(1); os.close(2)
                os.execve(sys.executable, [sys.executable, "-S", "-c", note], dict(os.environ))
        {ANSWER}
        """
    with nothing_stays(tmp_path):
        order = order_of(code, tmp_path)
        assert (await run(order)).failure is None
        assert left_in(tmp_path) == []
        assert alive_with(order) == []


async def test_a_program_has_nothing_open_but_its_streams_and_no_signal_ignored(tmp_path: Path) -> None:
    code = """
        import json
        ignored = [line.split()[1] for line in open("/proc/self/status") if line.startswith(("SigIgn", "SigBlk"))]
        open_ones = [int(name) for name in os.listdir("/proc/self/fd") if os.path.exists(f"/proc/self/fd/{name}")]
        leads = os.getsid(0) == os.getpid()
        # Python itself ignores SIGPIPE and SIGXFSZ.
        print(json.dumps({"outputs": {"n": [ignored, open_ones, leads]}}))
        """
    outputs = (await run(order_of(code, tmp_path))).outputs
    ours = sum(
        1 << number - 1 for number in (signal.SIGPIPE, signal.SIGXFSZ, 32, 33)
    )  # the last two are the C library's
    blocked, ignored = outputs["n"][0]
    assert int(blocked, 16) == 0
    assert int(ignored, 16) & ~ours == 0
    assert outputs["n"][1:] == [[0, 1, 2], True]


async def test_a_program_gets_an_environment_that_is_larger_than_what_a_socket_holds(tmp_path: Path) -> None:
    order = order_of("import json; print(json.dumps({'outputs': {'n': len(os.environ['A7'])}}))", tmp_path)
    size, mark = 100_000, tag_of(order.attempt, tmp_path)
    environment = environment_of(order.attempt, mark, {f"A{n}": "x" * size for n in range(10)})
    program = run_program([sys.executable, "agent.py"], cwd=tmp_path, environment=environment, tag=mark)
    assert json.loads((await asyncio.wait_for(program, SECONDS)).stdout) == {"outputs": {"n": size}}


@pytest.mark.parametrize(
    ("victims", "may"),
    [(1, "end"), (2, "end"), (1, "keep")],
    ids=["its warden", "its warden and what forks wardens", "its warden, and may keep processes"],
)
async def test_an_agent_that_kills_its_warden_ends_with_all_it_started(victims: int, may: str, tmp_path: Path) -> None:
    code = f"""
        leave("own session, ignores TERM")
        forker = int(open(f"/proc/{{os.getppid()}}/stat").read().rsplit(")")[1].split()[1])
        for victim in [forker, os.getppid()][-{victims}:]:
            os.kill(victim, signal.SIGKILL)
        {READY}
        """
    with nothing_stays(tmp_path):
        order = order_of(code, tmp_path, keep=may == "keep")
        failure = (await run(order)).failure
        assert failure is not None
        assert failure.code == "SIGNAL_SIGKILL"
        assert left_in(tmp_path) == []
        assert alive_with(order) == []
        assert (await run(order_of(ANSWER, tmp_path))).failure is None, "the next one has another warden"


async def test_a_killed_warden_costs_other_attempts_nothing(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = order_of(f"leave('plain')\n{READY}", tmp_path / "other")
    async with under_way(other) as task:
        await run(order_of("os.kill(os.getppid(), signal.SIGKILL)\ntime.sleep(600)", tmp_path))
        assert not task.done()
        assert len(left_in(tmp_path / "other")) == 2
    assert left_in(tmp_path / "other") == []


async def test_an_agent_that_stops_its_warden_is_ended_all_the_same(tmp_path: Path) -> None:
    code = f"""
        leave("daemon without a trace")
        forker = int(open(f"/proc/{{os.getppid()}}/stat").read().rsplit(")")[1].split()[1])
        os.kill(forker, signal.SIGSTOP)
        os.kill(os.getppid(), signal.SIGSTOP)
        {READY}
        """
    with nothing_stays(tmp_path):
        async with under_way(order_of(code, tmp_path)):
            pass
        assert left_in(tmp_path) == []


async def test_what_forks_wardens_is_started_again_when_it_was_killed(tmp_path: Path) -> None:
    assert (await run(order_of(ANSWER, tmp_path))).failure is None
    found = await wardens_for(keep=False)
    assert found is not None
    os.kill(found.pid, signal.SIGKILL)
    assert (await run(order_of(ANSWER, tmp_path))).failure is None


async def test_a_program_is_started_though_what_forks_wardens_was_killed_unnoticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = await wardens_for(keep=False)
    assert found is not None
    os.kill(found.pid, signal.SIGKILL)
    await asyncio.to_thread(os.waitid, os.P_PID, found.pid, os.WEXITED | os.WNOWAIT)
    has_ended, looks = Wardens._ended, iter([False, False])  # when it is chosen, and when it is woken

    def late(wardens: Wardens, options: int) -> bool:
        return next(looks, True) and has_ended(wardens, options)

    monkeypatch.setattr(Wardens, "_ended", late)
    assert (await run(order_of(ANSWER, tmp_path))).failure is None


async def test_programs_that_start_others_without_end_are_ended(tmp_path: Path) -> None:
    code = f"""
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        until = time.monotonic() + 40
        for _ in range(3):  # each process of a chain starts the next one and ends
            if os.fork() == 0:
                os.setsid()
                while time.monotonic() < until:
                    if os.fork():
                        os._exit(0)
                os._exit(0)
        {READY}
        """
    order = order_of(code, tmp_path)
    async with under_way(order):
        pass
    assert alive_with(order) == []


async def test_what_an_agent_may_keep_outlives_its_attempt_and_its_server(tmp_path: Path) -> None:
    with nothing_stays(tmp_path):
        with server(tmp_path, f"leave('plain')\n{ANSWER}", keep=True) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"said\n"  # the answer
            assert process.stdout.readline() == b"ended\n"
            wardens_of_it = psutil.Process(process.pid).children(recursive=True)
        psutil.wait_procs(wardens_of_it, timeout=SECONDS)
        assert len(left_in(tmp_path)) == 1


@contextlib.contextmanager
def server(folder: Path, code: str, *, keep: bool = False, forks: bool = False) -> Iterator[subprocess.Popen[bytes]]:
    """A process that runs an agent and tells its first word and its end; it is killed at the end of the block.

    With *forks* it has made a copy of itself before it tells the word.
    """
    order_of(code, folder)
    program = f"""
import asyncio, os, signal
from pathlib import Path
from engine.executors.process import ProcessExecutor
from engine.model.agent import Agent
from engine.runtime.owner import FileOwner
from tests.support.orders import Beats, order_for

def listen(action, said):
    if said:
        if {forks} and os.fork() == 0:
            Path({str(folder)!r}, "copy").write_text(str(os.getpid()))
            signal.pause()
        print("said", flush=True)

async def main():
    owner = FileOwner(Path({str(folder)!r}, {str(STATE)!r}))
    agent = Agent(id="a", command=("{{python}}", "agent.py"), keep_processes={keep})
    await ProcessExecutor().execute(order_for(agent, project=Path({str(folder)!r})), Beats(listen))
    print("ended", flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""
    with subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE) as process:
        try:
            yield process
        finally:
            process.kill()


def killed_with(way: str, folder: Path) -> None:
    """Kill -9 a server whose agent has left a child in this *way*: neither of the two stays."""
    with nothing_stays(folder):
        with server(folder, f"leave({way!r})\n{READY}") as process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"said\n"
            assert len(left_in(folder)) == 2
        _gone, alive = psutil.wait_procs(left_in(folder), timeout=SECONDS)
        assert alive == []
        assert left_in(folder) == []


@pytest.mark.parametrize("way", WAYS)
def test_a_killed_server_takes_its_agents_and_all_they_started_with_it(way: str, tmp_path: Path) -> None:
    killed_with(way, tmp_path)


@pytest.mark.nightly
@pytest.mark.parametrize("way", WAYS)
def test_that_is_so_twenty_times_over(way: str, tmp_path: Path) -> None:
    for number in range(20):
        folder = tmp_path / str(number)
        folder.mkdir()
        killed_with(way, folder)


async def test_who_ends_what_a_killed_server_left_waits_for_its_wardens(tmp_path: Path) -> None:
    with nothing_stays(tmp_path):
        with server(tmp_path, f"leave('daemon without a trace, ignores TERM')\n{READY}") as process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"said\n"
        process.wait(SECONDS)
        assert left_in(tmp_path) != [], "it is being ended"
        await asyncio.wait_for(end_orphans(tmp_path), SECONDS)
        assert left_in(tmp_path) == []
    assert list((tmp_path / STATE / FOLDER).glob("*.work")) == []


async def test_what_an_agent_has_kept_is_named(tmp_path: Path) -> None:
    with nothing_stays(tmp_path):
        outcome = await run(order_of(f"leave('plain')\n{ANSWER}", tmp_path, keep=True))
        (kept,) = left_in(tmp_path)
        assert outcome.left == (
            f"{kept.pid} ({kept.name()}) keeps running, as allowed by `keepProcesses` of its agent",
        )


WITHOUT_RIGHTS = """
import asyncio, sys
from pathlib import Path
from engine.executors.process import ProcessExecutor
from engine.model.agent import Agent
from tests.support.orders import Beats, order_for

async def main():
    order = order_for(Agent(id="a", command=("{python}", "agent.py")), project=Path(sys.argv[1]))
    ready = asyncio.Event()
    task = asyncio.ensure_future(
        ProcessExecutor().execute(order, Beats(lambda action, said: ready.set() if said else None))
    )
    await ready.wait()
    if sys.argv[2] == "cancel":
        task.cancel()
    try:
        print((await task).left)
    except asyncio.CancelledError as error:
        print(error.__notes__)

asyncio.run(main())
"""
"""A server that may end no other user's processes; it cancels an agent where it is told to."""


@pytest.mark.skipif(
    os.getuid() != 0 or shutil.which("setpriv") is None, reason="needs root, who can give up the right to end others"
)
@pytest.mark.parametrize("how", ["answer", "cancel"])
def test_what_belongs_to_another_user_is_named(how: str, tmp_path: Path) -> None:
    code = f"""
        if os.fork() == 0:
            os.setuid(65534)
            os.dup2(os.open(os.devnull, os.O_RDWR), 1)
            print("ready", file=sys.stderr, flush=True)
            os.close(2)
            signal.pause()
        {ANSWER if how == "answer" else "signal.pause()"}
        """
    with nothing_stays(tmp_path):
        order_of(code, tmp_path)
        done = subprocess.run(
            [
                "setpriv",
                "--bounding-set=-kill",
                "--inh-caps=-kill",
                sys.executable,
                "-c",
                WITHOUT_RIGHTS,
                str(tmp_path),
                how,
            ],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            check=True,
            text=True,
            timeout=SECONDS,
        )
        (theirs,) = left_in(tmp_path)
        assert f"{theirs.pid} ({theirs.name()}) could not be ended because it belongs to another user" in done.stdout


def test_a_copy_that_a_server_has_forked_does_not_keep_its_agents_alive(tmp_path: Path) -> None:
    with nothing_stays(tmp_path):
        with server(tmp_path, READY, forks=True) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"said\n"
            (agent,) = left_in(tmp_path)
        _gone, alive = psutil.wait_procs([agent], timeout=SECONDS)
        copy = psutil.Process(int((tmp_path / "copy").read_text()))
        assert copy.is_running(), "it has all that the server had open, the lifeline too"
        copy.kill()
        assert alive == []


async def test_a_program_whose_answer_is_enough_is_ended_with_all_it_started(tmp_path: Path) -> None:
    ended = await enough_of("leave('own session')", tmp_path, keep=False)
    assert (ended.returncode, ended.stdout.strip()) == (-signal.SIGTERM, b"enough")
    assert left_in(tmp_path) == []


@pytest.mark.parametrize("held", ["below a warden", "looked for"])
async def test_what_it_may_keep_stays_when_its_answer_is_enough(
    held: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wardens, "_unsupported", held == "looked for")
    with nothing_stays(tmp_path):
        ended = await enough_of("leave('plain')", tmp_path, keep=True)
        assert (ended.returncode, ended.stdout.strip()) == (-signal.SIGTERM, b"enough")
        (kept,) = left_in(tmp_path)
        assert ended.kept == (f"{kept.pid} ({kept.name()})",)


async def enough_of(code: str, folder: Path, *, keep: bool) -> Ended:
    """How a program ended that was ended as soon as it had written something."""
    enough = asyncio.Event()
    order = order_of(f"{code}\nprint('enough', flush=True); signal.pause()", folder, keep=keep)
    mark = tag_of(order.attempt, folder, keep=keep)
    running = run_program(
        [sys.executable, "agent.py"],
        cwd=folder,
        environment=environment_of(order.attempt, mark, {}),
        tag=mark,
        on_news=lambda _number, _data: enough.set(),
        keep=keep,
        enough=enough,
    )
    return await asyncio.wait_for(running, SECONDS)


async def test_a_system_that_can_hold_no_processes_has_them_looked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:

    monkeypatch.setattr(wardens, "_PROGRAM", f"raise SystemExit({UNSUPPORTED})")
    monkeypatch.setattr(wardens, "_started", {})
    monkeypatch.setattr(wardens, "_unsupported", False)
    assert await wardens_for(keep=False) is None
    order = order_of(f"leave('own session')\n{ANSWER}", tmp_path)
    assert (await run(order)).failure is None
    assert left_in(tmp_path) == []


async def test_what_forks_wardens_and_does_not_start_is_a_failure_to_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:

    monkeypatch.setattr(wardens, "_PROGRAM", "raise SystemExit(1)")
    monkeypatch.setattr(wardens, "_started", {})
    failure = (await run(order_of(ANSWER, tmp_path))).failure
    assert failure is not None
    assert failure.code == "PROGRAM_NOT_STARTED"


async def test_a_folder_that_is_gone_and_a_text_that_no_program_can_be_given_are_failures_to_start(
    tmp_path: Path,
) -> None:
    mark = tag_of(AttemptId("r-1:a#1"), tmp_path)
    with pytest.raises(FileNotFoundError, match="nowhere"):
        await run_program([sys.executable], cwd=tmp_path / "nowhere", environment={}, tag=mark)
    for argv, environment in (([sys.executable, "a\0b"], {}), ([sys.executable], {"A=B": "c"})):
        with pytest.raises(ValueError, match=r"null|name"):
            await run_program(argv, cwd=tmp_path, environment=environment, tag=mark)
