"""Process trees with real processes: what an attempt started is gone when the attempt ends."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import subprocess
import sys
import textwrap
import warnings
from datetime import timedelta
from pathlib import Path

import psutil
import pytest

from engine.executors.port import Heartbeat, Outcome, WorkOrder
from engine.executors.process import ProcessExecutor
from engine.executors.python import PythonExecutor
from engine.executors.shielding import uncancelled
from engine.executors.subprocesses import output, process_table, process_tags, search, wardens
from engine.executors.subprocesses.process_tags import ATTEMPT_VARIABLE, TAG_VARIABLE, environment_of, tag_of
from engine.executors.subprocesses.program import Ended, run_program
from engine.executors.subprocesses.search import end_orphans
from engine.ids import AttemptId
from engine.model.agent import Agent, AgentSource
from engine.model.policy import FailureKind
from engine.statefolder.identity import started
from tests.support.leaving import left_in
from tests.support.orders import Beats, alive_with, order_for

pytestmark = pytest.mark.processes


@pytest.fixture(params=["below a warden", "looked for"])
def held(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both ways in which what a program starts is ended: the second one is that of systems without wardens."""
    if request.param == "looked for":
        monkeypatch.setattr(wardens, "_unsupported", True)


both = pytest.mark.usefixtures("held")
SLEEP = "import time; print(flush=True); time.sleep(600)"
STUBBORN = "import signal,time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); time.sleep(600)"
LEAVE = f'''
import os, subprocess, sys
def leave(code, **options):
    """Start a child whose parent ends at once, and wait until it runs."""
    reading, writing = os.pipe()
    if os.fork() == 0:
        os.setsid()
        code = "import os;" + code.replace("print(flush=True)", "os.write(%d, b'x')" % writing)
        subprocess.Popen([sys.executable, "-c", code], pass_fds=[writing], **options)
        os._exit(0)
    os.wait()
    os.read(reading, 1)
SLEEP, STUBBORN = {SLEEP!r}, {STUBBORN!r}
'''


def order_of(code: str, folder: Path, *, keep: bool = False, **options: object) -> WorkOrder:
    (folder / "agent.py").write_text(LEAVE + textwrap.dedent(code))
    agent = Agent(id="a", command=("{python}", "agent.py"), keep_processes=keep)
    return order_for(agent, project=folder, **options)  # type: ignore[arg-type]


async def run(order: WorkOrder) -> Outcome:
    return await asyncio.wait_for(ProcessExecutor().execute(order, Beats()), 30)


def at_first_word(ready: asyncio.Event) -> Heartbeat:
    """A heartbeat that sets *ready* when the agent has written something."""

    def listen(action: str | None, said: str) -> None:
        if said and action is None:
            ready.set()

    return Beats(listen)


async def cancel_when_ready(order: WorkOrder) -> None:
    """Cancel the order's attempt as soon as its program says a word on stderr."""
    ready = asyncio.Event()
    task = asyncio.ensure_future(ProcessExecutor().execute(order, at_first_word(ready)))
    await asyncio.wait_for(ready.wait(), 30)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(task, 30)


async def program(code: str, folder: Path, **options: object) -> Ended:
    attempt = AttemptId("r-1:x#1")
    mark = tag_of(attempt, folder)
    running = run_program(
        [sys.executable, "-c", textwrap.dedent(code)],
        cwd=folder,
        environment=environment_of(attempt, mark, {}),
        tag=mark,
        **options,  # type: ignore[arg-type]
    )
    return await asyncio.wait_for(running, 30)


@both
@pytest.mark.parametrize(
    "code",
    [
        "subprocess.Popen([sys.executable, '-c', SLEEP])",
        "subprocess.Popen([sys.executable, '-c', SLEEP], start_new_session=True)",
        "leave(SLEEP)",
        "leave(SLEEP, start_new_session=True)",
        "subprocess.Popen([sys.executable, '-c', SLEEP], env={})",
    ],
    ids=["child", "own session", "orphan", "orphan in a session of its own", "empty environment"],
)
async def test_what_a_program_leaves_is_ended_when_it_has_answered(code: str, tmp_path: Path) -> None:
    order = order_of(code + "\nprint('{\"outputs\": {}}')", tmp_path)
    outcome = await run(order)
    assert outcome.failure is None
    assert alive_with(order) == []
    assert left_in(tmp_path) == []


async def test_what_a_program_logged_is_kept_where_it_tells_that_it_failed(tmp_path: Path) -> None:
    code = """print("connecting", file=sys.stderr); print('{"failure": {"code": "A", "message": "m"}}')"""
    failure = (await run(order_of(code, tmp_path))).failure
    assert failure is not None
    assert (failure.code, failure.partial) == ("A", "connecting")


@both
async def test_a_stubborn_orphan_is_killed_after_the_grace(tmp_path: Path) -> None:
    order = order_of("leave(STUBBORN)\nprint('{\"outputs\": {}}')", tmp_path)
    assert (await run(order)).failure is None
    assert alive_with(order) == []


@both
async def test_a_cancel_ends_children_that_hide_and_children_that_ignore_term(tmp_path: Path) -> None:
    order = order_of(
        """
        leave(SLEEP, start_new_session=True)
        leave(STUBBORN)
        child = subprocess.Popen([sys.executable, "-c", STUBBORN], stdout=subprocess.PIPE, env={})
        child.stdout.readline()
        print("ready", file=sys.stderr, flush=True)
        import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)
        while True: signal.pause()
        """,
        tmp_path,
    )
    await cancel_when_ready(order)
    assert alive_with(order) == []
    assert left_in(tmp_path) == []


@both
async def test_a_program_is_told_by_term_and_may_tidy_up(tmp_path: Path) -> None:
    order = order_of(
        """
        import signal, pathlib
        def tidy(*_):
            pathlib.Path("tidied").touch(); sys.exit(0)
        signal.signal(signal.SIGTERM, tidy)
        print("ready", file=sys.stderr, flush=True)
        while True: signal.pause()
        """,
        tmp_path,
    )
    await cancel_when_ready(order)
    assert (tmp_path / "tidied").exists()


@both
async def test_a_second_cancel_does_not_cut_the_ending_short(tmp_path: Path) -> None:
    order = order_of(
        "leave(STUBBORN)\nprint('ready', file=sys.stderr, flush=True)\nimport time; time.sleep(600)", tmp_path
    )
    ready = asyncio.Event()
    task = asyncio.ensure_future(ProcessExecutor().execute(order, at_first_word(ready)))
    await asyncio.wait_for(ready.wait(), 30)
    task.cancel()
    for _ in range(3):
        await asyncio.wait([task], timeout=0)
        task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(task, 30)
    assert alive_with(order) == []


@both
async def test_a_cancel_before_the_program_runs_leaves_nothing(tmp_path: Path) -> None:
    order = order_of("import time; time.sleep(600)", tmp_path)
    task = asyncio.ensure_future(ProcessExecutor().execute(order, Beats()))
    await asyncio.wait([task], timeout=0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(task, 30)
    assert alive_with(order) == []


@both
def test_an_event_loop_that_goes_down_leaves_nothing(tmp_path: Path) -> None:
    order = order_of(
        "leave(STUBBORN)\nprint('ready', file=sys.stderr, flush=True)\nimport time; time.sleep(600)", tmp_path
    )

    async def give_up() -> None:
        ready = asyncio.Event()
        running = asyncio.ensure_future(ProcessExecutor().execute(order, at_first_word(ready)))
        await asyncio.wait_for(ready.wait(), 30)
        running.cancel()
        await asyncio.wait([running], timeout=0)  # the ending has begun, and waits for the stubborn one
        assert not running.done()

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # a loop that is gone hears of no exit
        asyncio.run(give_up())  # cancels every task that is left, the one that ends processes too
        gc.collect()
    psutil.wait_procs(alive_with(order), timeout=10)
    assert alive_with(order) == []


@both
async def test_what_an_agent_may_keep_is_kept_when_it_has_answered(tmp_path: Path) -> None:
    order = order_of("leave(SLEEP)\nprint('{\"outputs\": {}}')", tmp_path, keep=True)
    outcome = await run(order)
    kept = alive_with(order)
    try:
        assert outcome.failure is None
        assert len(kept) == 1
        assert await end_orphans(tmp_path) == 0
    finally:
        for process in kept:
            process.kill()


@both
async def test_a_cancel_ends_even_what_an_agent_may_keep(tmp_path: Path) -> None:
    code = "leave(SLEEP)\nprint('ready', file=sys.stderr, flush=True)\nimport time; time.sleep(600)"
    order = order_of(code, tmp_path, keep=True)
    await cancel_when_ready(order)
    assert alive_with(order) == []


@both
async def test_a_program_that_never_reads_its_large_input_does_not_hang(tmp_path: Path) -> None:
    order = order_of('print(\'{"outputs": {"n": 1}}\')', tmp_path, inputs={"big": "x" * 3_000_000})
    assert (await run(order)).outputs == {"n": 1}


async def test_a_program_that_writes_much_to_stderr_does_not_hang_and_its_end_is_kept(tmp_path: Path) -> None:
    ended = await program("import sys; sys.stderr.write('a' * 3_000_000 + 'END'); sys.exit(4)", tmp_path)
    assert ended.returncode == 4
    assert ended.stderr.endswith(b"aEND")
    assert len(ended.stderr) == output.STDERR_TAIL


@both
async def test_too_much_on_stdout_ends_the_program(tmp_path: Path) -> None:
    order = order_of("while True: print('x' * 100_000)", tmp_path)
    failure = (await run(order)).failure
    assert failure is not None
    assert (failure.kind, failure.code) == (FailureKind.VALIDATION, "OUTPUT_TOO_LARGE")
    assert alive_with(order) == []


async def test_lines_are_handed_over_whole_and_the_last_one_too(tmp_path: Path) -> None:
    lines: list[bytes] = []
    code = """
        import sys, time
        for piece in ("a", "b\\n\\nc", "d" * 200_000, "\\nlast"):
            sys.stdout.write(piece); sys.stdout.flush()
        """
    ended = await program(code, tmp_path, on_line=lines.append)
    assert lines == [b"ab", b"", b"c" + b"d" * 200_000, b"last"]
    assert ended.stdout == b""


async def test_a_line_without_end_ends_the_program(tmp_path: Path) -> None:
    lines: list[bytes] = []
    ended = await program("while True: print('x' * 1000, end='')", tmp_path, on_line=lines.append, stdout_limit=50_000)
    assert ended.overflow
    assert lines == []


@both
async def test_a_child_that_holds_stdout_open_does_not_hold_the_answer_up(tmp_path: Path) -> None:
    order = order_of('leave(STUBBORN)\nprint(\'{"outputs": {"n": 1}}\')', tmp_path, keep=True)
    outcome = await run(order)
    for process in alive_with(order):
        process.kill()
    assert outcome.outputs == {"n": 1}


async def test_an_agent_sees_its_attempt_its_own_variables_and_not_our_stdin(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(TAG_VARIABLE, "outer")
    code = f"""
        import json
        request = json.load(sys.stdin)
        names = ["{ATTEMPT_VARIABLE}", "{TAG_VARIABLE}", "MINE", "PATH"]
        print(json.dumps({{"outputs": {{"env": [os.environ[name] for name in names], "request": request,
                                        "cwd": os.getcwd(), "rest": sys.stdin.read()}}}}))
        """
    (tmp_path / "agent.py").write_text(LEAVE + textwrap.dedent(code))
    agent = Agent(id="a", command=("{python}", "agent.py"), env={"MINE": "1", TAG_VARIABLE: "forged"})
    order = order_for(agent, project=tmp_path, inputs={"ü": "ß"})
    outputs = (await run(order)).outputs
    assert outputs["env"] == [order.attempt, f"outer {tag_of(order.attempt, tmp_path)}", "1", os.environ["PATH"]]
    assert outputs["request"]["inputs"] == {"ü": "ß"}
    assert outputs["cwd"] == str(tmp_path)
    assert outputs["rest"] == ""


async def test_nothing_of_a_value_goes_through_a_shell(tmp_path: Path) -> None:
    evil = f"$(touch {tmp_path}/evil); `touch {tmp_path}/evil`"
    agent = Agent(id="a", command=("cat",))
    outcome = await run(order_for(agent, project=tmp_path, task=evil, inputs={"x": evil}))
    assert outcome.failure is not None
    assert outcome.failure.code == "INVALID_ANSWER" or outcome.failure.message
    assert not (tmp_path / "evil").exists()


@both
async def test_a_program_ended_by_a_signal_says_so(tmp_path: Path) -> None:
    failure = (await run(order_of("os.kill(os.getpid(), 9)", tmp_path))).failure
    assert failure is not None
    assert failure.code == "SIGNAL_SIGKILL"


async def test_a_program_that_cannot_be_found_is_no_exception(tmp_path: Path) -> None:
    outcome = await run(order_for(Agent(id="a", command=("no-such-tool",)), project=tmp_path))
    assert outcome.failure is not None
    assert (outcome.failure.code, outcome.begun) == ("PROGRAM_NOT_FOUND", False)


@both
async def test_a_file_that_is_no_program_is_told(tmp_path: Path) -> None:
    (tmp_path / "bad").write_bytes(b"\x00\x01")
    (tmp_path / "bad").chmod(0o755)
    outcome = await run(order_for(Agent(id="a", command=("./bad",)), project=tmp_path))
    assert outcome.failure is not None
    assert (outcome.failure.code, outcome.begun) == ("PROGRAM_NOT_STARTED", False)


async def test_a_function_cannot_disturb_its_answer_by_printing(tmp_path: Path) -> None:
    (tmp_path / "noisy_agent.py").write_text(
        "import os\ndef f(request):\n print('{}'); os.system('echo {}'); os.write(1, b'x')\n return {'outputs': {}}\n"
    )
    order = order_for(Agent(id="a", callable="noisy_agent:f"), project=tmp_path)
    outcome = await asyncio.wait_for(PythonExecutor().execute(order, Beats()), 30)
    assert outcome.failure is None


@pytest.mark.parametrize(
    ("target", "code", "part"),
    [
        ("nowhere:f", "CALLABLE_NOT_FOUND", "module nowhere does not exist"),
        ("odd_agent:nothing", "CALLABLE_NOT_FOUND", "has no nothing"),
        ("odd_agent:NUMBER", "CALLABLE_NOT_FOUND", "not callable"),
        ("not a target", "CALLABLE_NOT_FOUND", "module:function"),
        ("odd_agent:needs", "MODULE_NOT_FOUND_ERROR", "no_such_module"),
        ("odd_agent:strange", "INVALID_ANSWER", "JSON cannot hold"),
        ("odd_agent:leave", "EXIT_3", "exited with code 3"),
        ("odd_agent:own", "MY_CODE", "mine"),
        ("odd_agent:attribute", "ATTRIBUTE_ERROR", "nope"),
        ("broken_agent:f", "ATTRIBUTE_ERROR", "absent"),
        ("poor_agent:f", "MODULE_NOT_FOUND_ERROR", "no_such_module"),
    ],
)
async def test_a_function_that_goes_wrong_is_a_failure_with_a_code(
    target: str, code: str, part: str, tmp_path: Path
) -> None:
    (tmp_path / "poor_agent.py").write_text("import no_such_module\n")
    (tmp_path / "broken_agent.py").write_text("import os\nos.absent\ndef f(request): ...\n")
    (tmp_path / "odd_agent.py").write_text(
        textwrap.dedent(
            """
            import sys
            NUMBER = 1
            class Own(Exception):
                code = "MY_CODE"; kind = "timeout"
            def needs(request): import no_such_module
            def strange(request): return {"outputs": {1, 2}}
            def leave(request): sys.exit(3)
            def own(request): raise Own("mine")
            async def attribute(request): object().nope
            """
        )
    )
    order = order_for(Agent(id="a", callable=target), project=tmp_path)
    failure = (await asyncio.wait_for(PythonExecutor().execute(order, Beats()), 30)).failure
    assert failure is not None
    assert failure.code == code
    assert part in failure.message
    assert (failure.kind is FailureKind.TIMEOUT) is (code == "MY_CODE")


async def test_a_trace_begins_in_the_code_of_the_agent(tmp_path: Path) -> None:
    (tmp_path / "trace_agent.py").write_text("def f(request):\n    raise ValueError('x')\n")
    order = order_for(Agent(id="a", callable="trace_agent:f"), project=tmp_path)
    failure = (await asyncio.wait_for(PythonExecutor().execute(order, Beats()), 30)).failure
    assert failure is not None
    assert failure.partial is not None
    assert "trace_agent.py" in failure.partial
    assert "python_child" not in failure.partial


@pytest.mark.parametrize(("target", "code"), [("own:plain", None), ("own:later", None), ("own:fail", "VALUE_ERROR")])
async def test_what_our_child_imports_for_itself_is_never_a_module_of_the_project(
    tmp_path: Path, target: str, code: str | None
) -> None:
    own = ("asyncio", "traceback", "linecache", "textwrap", "tokenize", "selectors", "contextvars", "json", "re", "os")
    for name in own:
        (tmp_path / f"{name}.py").write_text("open('imported', 'a').close()\nraise ImportError\n")
    (tmp_path / "own.py").write_text(
        "def plain(request): return {'outputs': {'a': 1}}\n"
        "async def later(request): return {'outputs': {'a': 1}}\n"
        "def fail(request): raise ValueError('no')\n"
    )
    order = order_for(Agent(id="a", callable=target), project=tmp_path)
    outcome = await asyncio.wait_for(PythonExecutor().execute(order, Beats()), 30)
    assert (outcome.failure.code if outcome.failure else None) == code
    assert code or outcome.outputs == {"a": 1}
    assert not (tmp_path / "imported").exists()


async def test_only_an_agent_of_the_project_finds_modules_of_the_project(tmp_path: Path) -> None:
    (tmp_path / "engine.py").write_text("def f(request): return {'outputs': {'where': 'project'}}\n")
    for source, finds in ((AgentSource.PROJECT, True), (AgentSource.PACKAGED, False)):
        order = order_for(Agent(id="a", callable="engine:f", source=source), project=tmp_path)
        outcome = await asyncio.wait_for(PythonExecutor().execute(order, Beats()), 30)
        assert (outcome.outputs == {"where": "project"}) is finds


async def test_without_a_proc_folder_psutil_finds_the_marked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process_table, "HAS_PROC", False)
    order = order_of("leave(SLEEP, start_new_session=True)\nprint('{\"outputs\": {}}')", tmp_path)
    assert (await run(order)).failure is None
    assert alive_with(order) == []


def test_a_process_that_is_not_there_has_no_start_and_is_not_alive() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as child:
        process = psutil.Process(child.pid)
        child.wait()
    assert started(child.pid) is None
    assert not process_tags.lives(process)
    assert search._family(child.pid) == ([], [])


def test_a_stranger_that_got_the_number_of_an_ended_program_is_left_alone(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", SLEEP], start_new_session=True, stdout=subprocess.PIPE) as stranger:
        try:
            mark = tag_of(AttemptId("r-1:x#9"), tmp_path)
            assert search._remaining_of(stranger.pid, mark, exited=True) == []
        finally:
            stranger.kill()


async def test_what_cannot_be_killed_is_given_up_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "_PERSISTENCE", timedelta(0))
    monkeypatch.setattr(psutil.Process, "kill", lambda _: None)
    ours = psutil.Process()
    await asyncio.wait_for(search.end_all(lambda: [ours], grace=timedelta(0)), 30)


async def test_work_that_must_not_be_cut_off_ends_before_the_cancel_goes_on() -> None:
    started, finish, finished = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def work() -> None:
        started.set()
        await finish.wait()
        finished.set()

    task = asyncio.ensure_future(uncancelled(work()))
    await asyncio.wait_for(started.wait(), 10)
    task.cancel()
    await asyncio.wait([task], timeout=0)
    assert not task.done()
    finish.set()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(task, 10)
    assert finished.is_set()


def test_marks_differ_by_attempt_and_project_and_say_who_began(tmp_path: Path) -> None:
    one = tag_of(AttemptId("r-1:a#1"), tmp_path)
    assert one != tag_of(AttemptId("r-1:a#2"), tmp_path)
    assert one != tag_of(AttemptId("r-1:a#1"), tmp_path / "x")
    assert f"-{os.getpid()}-" in one
    assert json.dumps(one).isascii()
