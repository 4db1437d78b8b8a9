"""The command line as its users call it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import typer.main
from typer.testing import CliRunner

from mcp_server import entry
from mcp_server.cli import lazy, watch
from mcp_server.cli.app import app
from mcp_server.cli.commands import COMMANDS as PLACES
from mcp_server.version import version
from tests.interaction.projects import environment, open_gate
from tests.support.definitions import command, node, phase
from tests.support.hangups import hangups
from tests.support.installed import ORCHESTRATE
from tests.support.trust import trust_all

if TYPE_CHECKING:
    from collections.abc import Callable

    from typer.testing import Result

COMMANDS = sorted(typer.main.get_command(app).commands)  # type: ignore[attr-defined]


@pytest.fixture(autouse=True)
def _home(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in environment(project).items():
        monkeypatch.setenv(name, value)


def orchestrate(project: Path, *words: str) -> Result:
    return CliRunner().invoke(app, ["--project", str(project), *words])


def told(result: Result) -> dict[str, Any]:
    """The one JSON object on stdout."""
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def test_the_list_of_commands_has_the_first_sentence_of_each() -> None:
    group: Any = typer.main.get_command(app)
    summaries = {name: command.get_short_help_str(1000) for name, command in group.commands.items()}
    assert summaries == {name: place.summary for name, place in PLACES.items()}
    shown = " ".join(CliRunner().invoke(app, ["--help"]).stdout.split())
    assert [name for name, summary in summaries.items() if f" {name} {summary}" not in shown] == []


def test_the_help_names_every_command() -> None:
    shown = CliRunner().invoke(app, ["--help"]).stdout
    assert all(name in shown for name in COMMANDS)


@pytest.mark.parametrize("words", [[], *([name] for name in COMMANDS)], ids=" ".join)
def test_h_is_help(words: list[str]) -> None:
    short, long = (CliRunner().invoke(app, [*words, option]) for option in ("-h", "--help"))
    assert short.exit_code == 0
    assert short.stdout == long.stdout
    assert short.stdout.lstrip().startswith("Usage: ")


def test_the_version_is_said_wherever_it_is_asked_for(project: Path) -> None:
    result = orchestrate(project, "--version")
    assert (result.exit_code, result.stdout) == (0, f"orchestrate {version()}\n")


@pytest.mark.parametrize("start", [entry.orchestrate, entry.serve])
def test_windows_is_told_of_its_subsystem_for_linux(start: Callable[[], None], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    with pytest.raises(SystemExit, match="WSL"):
        start()


def test_a_run_tells_its_end_first_and_then_what_the_last_phase_gave(project: Path) -> None:
    result = orchestrate(project, "run", "/hello")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0].startswith("✅ /hello completed in ")
    assert "hello from first-greeting" in lines
    assert "✅ Do first-greeting (completed in " in result.stderr


def test_json_is_one_object_with_nodes_and_outputs(project: Path) -> None:
    status = told(orchestrate(project, "run", "/hello", "--json"))
    assert status["state"] == "completed"
    assert [node["id"] for node in status["nodes"]] == ["first-greeting"]
    assert status["outputs"] == {"greeting": "hello from first-greeting"}


def test_a_failed_run_has_exit_code_1_and_says_why(project: Path) -> None:
    result = orchestrate(project, "run", "/fail")
    assert result.exit_code == 1
    assert "BROKEN" in result.stdout
    assert "hunter22" not in result.stdout + result.stderr


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("run", "/nothing-here"), "COMMAND_NOT_FOUND"),
        (("run", "../outside.json"), "PATH_OUTSIDE_PROJECT"),
        (("run", "/cycle"), "CIRCULAR_DEPENDENCY"),
        (("run", "/unknown-agent"), "AGENT_NOT_FOUND"),
        (("run", "/model"), "EXECUTOR_UNAVAILABLE"),
        (("run", "/argued"), "MISSING_ARGUMENT"),
        (("run", "/hello", "--arg", "nonsense"), "INVALID_ARGUMENT"),
        (("run", "/argued", "--arg", "targt=world"), 'Did you mean "target"?'),
        (("run", "/argued", "--arg", "target:=[1,"), '"target" is not JSON'),
        (("run", "/argued", "--arg", "target:=[NaN]"), "JSON has no number NaN"),
        (("run", "/argued", "--arg", ":=1"), "INVALID_ARGUMENT"),
        (("run", "/argued", "--arg", "target=a", "--arg", "target:=1"), '"target" is given twice'),
        (("run", "/argued", "world", "--arg", "arguments=a"), '"arguments" is given twice'),
        (("run", "/hello", "--executor", "simulate", *(["--fail", "first-greeting=error"] * 2)), "INVALID_FAULT"),
        (("run", "/argued", "world", "--arguments", "world"), "not both"),
        (("run", "/hello", "--executor", "magic"), "INVALID_ARGUMENT"),
        (("run", "/hello", "--executor", "simulate", "--fail", "x"), "INVALID_FAULT"),
        (("run", "/hello", "--executor", "simulate", "--set", "x"), "INVALID_VALUE"),
        (("run", "/hello", "--executor", "simulate", "--fail", "first-greting=error"), '"first-greeting"?'),
        (("run", "/hello", "--executor", "simulate", "--set", "first-greeting.greting=1"), '"greeting"?'),
        (("run", "/hello", "--executor", "simulate", "--fail", "first-greeting:2=error"), "NO_EFFECT"),
        (("run", "/hello", "--max-duration-seconds", "inf"), "INVALID_LIMIT"),
        (("run", "/hello", "--executor", "simulate", "--max-duration-seconds", "1e300"), "INVALID_LIMIT"),
        (("status", "r-nothing"), "RUN_NOT_FOUND"),
        (("status",), "RUN_NOT_FOUND"),
        (("report",), "`orchestrate commands`"),
        (("cancel", "r-nothing"), "RUN_NOT_FOUND"),
        (("resume", "r-nothing"), "RUN_NOT_FOUND"),
    ],
)
def test_what_cannot_be_done_is_one_clear_error_and_exit_code_2(
    project: Path, words: tuple[str, ...], code: str
) -> None:
    result = orchestrate(project, *words)
    assert result.exit_code == 2
    assert code in result.stderr
    assert result.stdout == ""
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("words", [("run", "/nothing-here"), ("run", "/cycle"), ("status", "r-nothing")])
def test_an_error_is_one_json_document_too_where_json_was_asked_for(project: Path, words: tuple[str, ...]) -> None:
    result = orchestrate(project, *words, "--json")
    assert result.exit_code == 2
    assert told(result)["error"]["code"] in result.stderr


@pytest.mark.parametrize(
    "words",
    [
        ("run",),
        ("run", "/hello", "--max-parallelism", "none"),
        ("run", "/hello", "--fail", "first-greeting=error"),
        ("run", "/hello", "text", "--arguments", "text"),
        ("status", "--view", "nothing"),
        ("cancel",),
        ("runs", "--nothing"),
        ("plan", "/hello"),
        ("nothing",),
        (),
    ],
)
def test_what_is_wrong_with_the_words_is_one_json_document_too(project: Path, words: tuple[str, ...]) -> None:
    result = orchestrate(project, *words, "--json")
    assert (result.exit_code, told(result)["error"]["code"]) == (2, "USAGE")
    assert told(result)["error"]["message"] in " ".join(result.stderr.split())
    assert " --help`." in told(result)["error"]["hint"]


def test_a_word_behind_the_options_asks_for_nothing(project: Path) -> None:
    result = orchestrate(project, "cancel", "--", "--json", "more")
    assert (result.exit_code, result.stdout) == (2, "")


@pytest.mark.parametrize("words", [("plan", "/nothing-here"), ("report", "r-nothing")])
def test_an_error_is_json_where_json_is_the_format(project: Path, words: tuple[str, ...]) -> None:
    result = orchestrate(project, *words, "--format", "json")
    assert (result.exit_code, "error" in told(result)) == (2, True)


def test_a_fault_of_our_own_is_one_json_document_beside_its_traceback(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("out of order")

    monkeypatch.setattr(lazy, "load_settings", broken)
    result = orchestrate(project, "validate", "/hello", "--json")
    assert told(result)["error"] == {"code": "INTERNAL", "message": "RuntimeError: out of order"}
    assert isinstance(result.exception, RuntimeError)


@pytest.mark.parametrize("encoding", ["cp1252", "latin-1", "ascii"])
def test_a_stream_of_any_encoding_takes_what_is_written(project: Path, encoding: str) -> None:
    env = environment(project) | {"PYTHONIOENCODING": encoding}
    done = subprocess.run(
        [ORCHESTRATE, "run", "/hello"], cwd=project, env=env, capture_output=True, timeout=50, check=False
    )
    assert done.returncode == 0
    assert b"Traceback" not in done.stderr
    assert b"/hello completed" in done.stdout


def test_json_is_whole_in_any_encoding(project: Path) -> None:
    words = [ORCHESTRATE, "run", "/größe→✅", "--json"]
    for encoding in ("utf-8", "latin-1", "ascii"):
        env = environment(project) | {"PYTHONIOENCODING": encoding, "PYTHONUTF8": "1"}
        done = subprocess.run(words, cwd=project, env=env, capture_output=True, check=False)
        assert "/größe→✅" in json.loads(done.stdout.decode(encoding))["error"]["message"]


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&-", ">&- 2>&- <&-"])
@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("run", "/hello"), 0),
        (("runs", "--json"), 0),
        (("plan", "/hello"), 0),
        (("run", "/fail"), 1),
        (("nothing",), 2),
    ],
)
def test_a_command_does_its_work_where_streams_are_closed(
    project: Path, words: tuple[str, ...], code: int, closed: str
) -> None:
    shell = ["sh", "-c", f'exec "$@" {closed}', "sh", ORCHESTRATE, *words]
    done = subprocess.run(shell, cwd=project, env=environment(project), capture_output=True, timeout=50, check=False)
    assert (done.returncode, b"Traceback" in done.stderr) == (code, False)


def test_wrong_words_keep_their_exit_code_though_nobody_reads(project: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [ORCHESTRATE, "nothing"], cwd=project, env=environment(project), stdout=writing, stderr=writing, check=False
    )
    os.close(writing)
    assert done.returncode == 2


@pytest.mark.parametrize(("words", "code"), [(("/hello",), 0), (("/hello", "--json"), 0), (("/fail",), 1)])
def test_a_run_goes_on_though_nobody_reads_and_keeps_its_exit_code(
    project: Path, words: tuple[str, ...], code: int
) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [ORCHESTRATE, "run", *words],
        cwd=project,
        env=environment(project),
        stdout=writing,
        stderr=subprocess.PIPE,
        timeout=50,
        check=False,
    )
    os.close(writing)
    assert (done.returncode, b"Traceback" in done.stderr, b"BrokenPipe" in done.stderr) == (code, False, False)


full = pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a device that is always full")


@full
def test_a_run_goes_on_though_its_progress_cannot_be_written(project: Path) -> None:
    done = orchestrate_into_full(project, ("run", "/hello"), "2>/dev/full")
    assert (done.returncode, b"/hello completed" in done.stdout) == (0, True)
    assert orchestrate_into_full(project, ("runs",), ">/dev/full").stderr.count(b"\n") == 1


@full
@pytest.mark.parametrize(
    "words", [("run", "/hello"), ("runs", "--json"), ("commands",), ("plan", "/hello"), ("--help",)]
)
def test_a_result_that_cannot_be_written_is_an_error_of_one_line(project: Path, words: tuple[str, ...]) -> None:
    done = orchestrate_into_full(project, words, "2>&1 >/dev/full")
    last = done.stdout.decode().splitlines()[-1]
    assert (done.returncode, last) == (2, "error FILE_UNWRITABLE: stdout cannot be written: No space left on device")
    assert b"Traceback" not in done.stdout
    assert orchestrate_into_full(project, words, ">/dev/full 2>&1").returncode == 2


def test_ctrl_c_at_the_start_ends_without_a_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def imports() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(entry, "_orchestrate", imports)
    with pytest.raises(SystemExit) as end:
        entry.orchestrate()
    assert end.value.code == 130


def orchestrate_into_full(project: Path, words: tuple[str, ...], streams: str) -> subprocess.CompletedProcess[bytes]:
    shell = ["sh", "-c", f'exec "$@" {streams}', "sh", ORCHESTRATE, *words]
    return subprocess.run(shell, cwd=project, env=environment(project), capture_output=True, timeout=50, check=False)


def test_faults_belong_to_the_simulation(project: Path) -> None:
    assert orchestrate(project, "run", "/hello", "--fail", "first-greeting=error").exit_code == 2


def test_a_simulated_failure_is_marked_as_simulated(project: Path) -> None:
    result = orchestrate(project, "run", "/hello", "--executor", "simulate", "--fail", "first-greeting=error/NO_LUCK")
    assert result.exit_code == 1
    assert "NO_LUCK" in result.stdout
    assert "simulated" in result.stdout.splitlines()[0]


def test_an_argument_in_json_is_a_list_for_a_node_with_for_each(project: Path) -> None:
    cover = node("cover", forEach={"items": "files"}, context={"inputs": [{"key": "files"}]})
    definition = json.dumps(command(phase("one", cover), arguments=[{"name": "files", "required": True}]))
    words = ("run", definition, "--executor", "simulate", "--arg")
    assert "2/2" in orchestrate(project, *words, 'files:=["a", "b"]').stderr
    refused = orchestrate(project, *words, 'files=["a", "b"]')
    assert (refused.exit_code, "ITEMS_NOT_A_LIST" in refused.output) == (1, True)


def test_arguments_reach_the_run(project: Path) -> None:
    assert orchestrate(project, "run", "/argued", "--arg", "target=world").exit_code == 0
    assert orchestrate(project, "run", "/argued", "--arguments", "world").exit_code == 0
    assert orchestrate(project, "run", "/argued", "the", "*.rs").exit_code == 0
    assert orchestrate(project, "run", "/argued", "--", "--fast").exit_code == 0


def test_validate_tells_every_problem_and_is_the_exit_code(project: Path) -> None:
    bad = orchestrate(project, "validate", "/cycle")
    assert bad.exit_code == 2
    assert "Circular dependency detected in command '/cycle'" in bad.stdout
    good = orchestrate(project, "validate", "/hello", "--json")
    assert good.exit_code == 0
    assert told(good)["valid"] is True
    assert orchestrate(project, "validate", "/hello", "--strict").exit_code == (2 if told(good)["warnings"] else 0)


@pytest.mark.parametrize(
    ("form", "sign"),
    [("text", "first-greeting"), ("mermaid", "flowchart"), ("json", "nodeCount"), ("svg", "<svg")],
)
def test_a_plan_is_shown_in_each_form(project: Path, form: str, sign: str) -> None:
    result = orchestrate(project, "plan", "/hello", "--format", form)
    assert result.exit_code == 0
    assert sign in result.stdout


def test_a_run_tells_what_is_expected_and_a_plan_what_earlier_runs_took(project: Path) -> None:
    assert told(orchestrate(project, "plan", "/hello", "--format", "json"))["estimate"] == {
        "agents": 1,
        "sequentialMs": 6000,
        "expectedMs": 6000,
    }
    assert not (project / ".claude/orchestration").exists(), "a question leaves no state folder behind"
    assert orchestrate(project, "run", "/hello").stderr.startswith("1 agent, about 6s\n")
    assert "agent, about" not in orchestrate(project, "run", "/hello", "--executor", "simulate").stderr
    learned = told(orchestrate(project, "plan", "/hello", "--format", "json"))
    assert learned["estimate"]["expectedMs"] == learned["criticalPathMs"] < 6000


def test_an_unknown_form_of_a_plan_is_wrong_usage(project: Path) -> None:
    assert orchestrate(project, "plan", "/hello", "--format", "poem").exit_code == 2


@pytest.mark.parametrize("view", ["todos", "bogus"])
def test_a_view_that_a_terminal_does_not_show_is_wrong_usage(project: Path, view: str) -> None:
    orchestrate(project, "run", "/hello")
    result = orchestrate(project, "status", "--view", view)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "outputs" in result.stderr


@pytest.mark.parametrize("port", ["99999", "-1"])
def test_a_port_that_cannot_be_is_wrong_usage(project: Path, port: str) -> None:
    result = orchestrate(project, "serve", "--http", port)
    assert result.exit_code == 2
    assert "--http" in result.stderr


def test_the_newest_run_is_shown_where_none_is_named(project: Path) -> None:
    orchestrate(project, "run", "/hello")
    assert "/hello completed" in orchestrate(project, "status").stdout
    assert told(orchestrate(project, "status", "--json"))["state"] == "completed"
    assert "hello from" in orchestrate(project, "status", "--view", "outputs").stdout
    assert "/hello" in orchestrate(project, "status", "--watch").stdout


def test_runs_are_listed_newest_first(project: Path) -> None:
    assert "no runs yet" in orchestrate(project, "runs").stderr
    orchestrate(project, "run", "/hello")
    orchestrate(project, "run", "/fail")
    listed = json.loads(orchestrate(project, "runs", "--json").stdout)
    assert [(row["command"], row["state"]) for row in listed] == [("/fail", "failed"), ("/hello", "completed")]
    assert "✅ completed" in orchestrate(project, "runs").stdout


def test_a_failed_run_is_taken_up_again_at_its_failed_node(project: Path) -> None:
    orchestrate(project, "run", "/fail")
    (project / "failer.py").write_text("print('{\"outputs\": {}}')\n", encoding="utf-8")
    assert "NOT_TRUSTED" in orchestrate(project, "resume", "--failed").stderr
    trust_all(project, project / "home")
    result = orchestrate(project, "resume", "--failed")
    assert result.exit_code == 0, result.stderr
    assert "Changed since" not in result.stderr
    again = orchestrate(project, "resume", "--failed")
    assert again.exit_code == 2
    assert "NOT_RESUMABLE" in again.stderr


def test_a_resumed_run_says_that_its_file_was_edited_and_goes_on_with_what_it_began_with(project: Path) -> None:
    orchestrate(project, "run", "/fail")
    path = next((project / ".claude" / "commands" / "v2").glob("fail.json"))
    definition = json.loads(path.read_text(encoding="utf-8"))
    definition["phases"][0]["agents"][0]["task"] = "Do something else"
    path.write_text(json.dumps(definition), encoding="utf-8")
    result = orchestrate(project, "resume", "--failed")
    assert result.exit_code == 1
    assert "Changed since this run began: .claude/commands/v2/fail.json." in result.stderr
    assert "continues with what it began with" in result.stderr
    assert "Do something else" not in result.stdout


def test_a_run_that_has_used_its_attempts_up_says_so_and_goes_on_with_more(project: Path) -> None:
    four = command(phase("work", *(node(f"node-{number}", minutes=0.1) for number in range(4))), name="/four")
    (project / ".claude/commands/v2/four.json").write_text(json.dumps(four), encoding="utf-8")
    result = orchestrate(project, "run", "/four", "--max-attempts-total", "2")
    assert result.exit_code == 1
    assert "· 2/4 ·" in result.stdout
    assert "❌ /four: ATTEMPTS_EXHAUSTED\n   hint: Give it more" in result.stdout
    (failure,) = told(orchestrate(project, "status", "--json"))["failures"]
    assert (failure["code"], "node" in failure) == ("ATTEMPTS_EXHAUSTED", False)
    advised = failure["hint"].split("`")[1].split()
    assert advised[0] == "orchestrate"
    again = orchestrate(project, *(word.replace("N", "4") for word in advised[1:]))
    assert again.exit_code == 0, again.stderr


@pytest.mark.parametrize(
    ("option", "value"), [("--max-attempts-total", "1"), ("--max-cost-usd", "0"), ("--max-duration-seconds", "0.5")]
)
def test_a_simulation_that_has_used_a_limit_up_advises_nothing_that_is_refused(
    project: Path, option: str, value: str
) -> None:
    two = command(phase("work", *(node(f"node-{number}", minutes=0.1) for number in range(2))), name="/two")
    (project / ".claude/commands/v2/two.json").write_text(json.dumps(two), encoding="utf-8")
    result = orchestrate(project, "run", "/two", "--executor", "simulate", option, value)
    assert result.exit_code == 1
    assert f"hint: Run it again with {option} N" in result.stdout
    assert "resume r-" not in result.stdout


def test_a_run_that_has_ended_cannot_be_cancelled(project: Path) -> None:
    orchestrate(project, "run", "/hello")
    run_id = told(orchestrate(project, "status", "--json"))["runId"]
    result = orchestrate(project, "cancel", run_id)
    assert result.exit_code == 2
    assert "NOTHING_TO_CANCEL" in result.stderr


def test_agents_are_listed_with_who_does_their_work(project: Path) -> None:
    listed = json.loads(orchestrate(project, "agents", "--json").stdout)
    kinds = {row["id"]: row["executor"] for row in listed["agents"]}
    assert kinds["worker"] == "process"
    assert kinds["general-purpose"] == "claude"
    assert "worker" in orchestrate(project, "agents").stdout


def start(project: Path, *words: str) -> subprocess.Popen[str]:
    """The real program, at work."""
    return subprocess.Popen(
        [ORCHESTRATE, *words],
        cwd=project,
        env=environment(project),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for_the_gate(project: Path) -> int:
    """Until the gated agent has come to its gate; opening a pipe for writing waits for its reader."""
    return os.open(project / "gate", os.O_WRONLY)


def wait_for_agents(project: Path, count: int) -> None:
    """Until so many gated agents have been started."""
    while len((project / "started").read_text("utf-8")) < count:
        orchestrate(project, "runs")


def test_ctrl_c_cancels_the_run_and_leaves_with_130(project: Path) -> None:
    with start(project, "run", "/wait") as process:
        gate = wait_for_the_gate(project)
        process.send_signal(signal.SIGINT)
        stdout, _ = process.communicate(timeout=30)
        os.close(gate)
    assert process.returncode == 130
    assert stdout.startswith("🚫 /wait cancelled")


@pytest.mark.parametrize("numbers", [(signal.SIGHUP,), (signal.SIGINT, signal.SIGINT)])
def test_who_leaves_at_once_leaves_with_130_and_a_run_that_nobody_goes_on_with(
    project: Path, numbers: tuple[signal.Signals, ...]
) -> None:
    program = project / "gated.py"
    program.write_text(f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n{program.read_text('utf-8')}")
    trust_all(project, project / "home")
    with hangups(signal.SIG_DFL), start(project, "run", "/wait") as process:
        gate = wait_for_the_gate(project)
        for number in numbers:
            process.send_signal(number)
            if number is not numbers[-1]:
                assert process.stderr is not None
                while "repeat to exit at once" not in process.stderr.readline():
                    pass
        _, stderr = process.communicate(timeout=30)
        os.close(gate)
    assert process.returncode == 130
    assert "Traceback" not in stderr
    assert told(orchestrate(project, "status", "--json"))["state"] in {"interrupted", "cancelled"}


def test_a_run_under_nohup_outlives_its_terminal(project: Path) -> None:
    with hangups(signal.SIG_IGN), start(project, "run", "/wait") as process:
        gate = wait_for_the_gate(project)
        process.send_signal(signal.SIGHUP)
        os.write(gate, b"go")
        os.close(gate)
        stdout, _ = process.communicate(timeout=30)
    assert process.returncode == 0
    assert stdout.startswith("✅ /wait completed")


def test_another_process_can_cancel_a_run(project: Path) -> None:
    with start(project, "run", "/wait") as process:
        gate = wait_for_the_gate(project)
        run_id = told(orchestrate(project, "status", "--json"))["runId"]
        cancelled = orchestrate(project, "cancel", run_id, "--reason", "enough")
        stdout, _ = process.communicate(timeout=30)
        os.close(gate)
    assert cancelled.exit_code == 0, cancelled.stderr
    assert process.returncode == 3
    assert "cancelled: enough" in stdout


def test_a_run_whose_process_was_killed_is_interrupted_and_can_be_resumed(project: Path) -> None:
    with start(project, "run", "/wait") as process:
        gate = wait_for_the_gate(project)
        process.kill()
        process.communicate(timeout=30)
        os.close(gate)
    status = told(orchestrate(project, "status", "--json"))
    assert status["state"] == "interrupted"
    with start(project, "resume", "--json") as process:
        open_gate(project)
        stdout, stderr = process.communicate(timeout=30)
    assert process.returncode == 0, stderr
    resumed = json.loads(stdout)
    assert resumed["state"] == "completed"
    assert [node["attempts"] for node in resumed["nodes"]] == [1, 2]


def test_without_a_person_what_nobody_decides_stays_and_all_else_is_done(project: Path) -> None:
    nodes = [node("pay", agent="gated", idempotent=False), node("other", agent="gated")]
    raw = command(phase("work", *nodes, parallel=True), name="/pay")
    (project / ".claude/commands/v2/pay.json").write_text(json.dumps(raw), encoding="utf-8")
    with start(project, "run", "/pay") as process:
        gate = wait_for_the_gate(project)
        wait_for_agents(project, 2)
        process.kill()
        process.communicate(timeout=30)
        os.close(gate)
    with start(project, "resume") as process:
        wait_for_agents(project, 3)  # none of before is left at the gate
        open_gate(project)
        _, stderr = process.communicate(timeout=30)
    assert process.returncode == 1
    status = told(orchestrate(project, "status", "--json"))
    run = status["runId"]
    assert f"orchestrate decide {run} pay retry or skip or fail" in stderr
    assert status["state"] == "interrupted"
    assert {one["id"]: (one["state"], one["attempts"]) for one in status["nodes"] if one["id"] == "other"} == {
        "other": ("completed", 2)
    }
    refused = orchestrate(project, "decide", run, "pay", "skip")
    assert "INVALID_STATE" in refused.stderr
    assert f"orchestrate resume {run} --detach" in refused.stderr
    assert orchestrate(project, "resume", "--detach").exit_code == 0
    assert orchestrate(project, "decide", run, "pay", "skip").exit_code == 0
    assert told(orchestrate(project, "status", "--watch", "--json"))["state"] == "completed"


def test_a_run_of_another_process_is_answered_and_its_status_says_how(project: Path) -> None:
    run = orchestrate(project, "run", "/ask", "--detach").stdout.strip()
    with start(project, "status", run, "--watch") as watching:
        assert watching.stderr is not None
        while f"orchestrate decide {run} careful-node yes or no" not in watching.stderr.readline():
            assert watching.poll() is None
        assert f"orchestrate decide {run} careful-node yes or no" in orchestrate(project, "status").stdout
        assert "INVALID_ANSWER" in orchestrate(project, "decide", run, "careful-node", "skip").stderr
        assert "NODE_NOT_FOUND" in orchestrate(project, "decide", run, "nobody", "yes").stderr
        assert orchestrate(project, "decide", run, "careful-node", "yes").exit_code == 0
        stdout, _ = watching.communicate(timeout=30)
    assert stdout.startswith("✅ /ask completed")
    late = orchestrate(project, "decide", run, "careful-node", "yes")
    assert late.exit_code == 2
    assert "INVALID_STATE" in late.stderr


def test_a_cancel_of_a_run_whose_process_is_stopped_ends_with_what_can_be_done_and_so_does_the_next(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "SILENT_SECONDS", 1)
    with start(project, "run", "/wait") as process:
        gate = wait_for_the_gate(project)
        run_id = told(orchestrate(project, "status", "--json"))["runId"]
        process.send_signal(signal.SIGSTOP)
        for _again in range(2):
            refused = orchestrate(project, "cancel", run_id)
            assert refused.exit_code != 0
            assert "OWNER_SILENT" in refused.stderr
            assert f"kill -KILL {process.pid}" in refused.stderr
        process.send_signal(signal.SIGCONT)
        process.communicate(timeout=30)
        os.close(gate)
    assert process.returncode == 3


def test_a_run_whose_process_was_stopped_and_then_killed_can_be_cancelled(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "SILENT_SECONDS", 1)
    with start(project, "run", "/wait") as process:
        gate = wait_for_the_gate(project)
        run_id = told(orchestrate(project, "status", "--json"))["runId"]
        process.send_signal(signal.SIGSTOP)
        assert "OWNER_SILENT" in orchestrate(project, "cancel", run_id).stderr
        process.kill()
        process.communicate(timeout=30)
        os.close(gate)
    assert orchestrate(project, "cancel", run_id).exit_code == 0
    assert told(orchestrate(project, "status", run_id, "--json"))["state"] == "cancelled"


def test_who_cancels_a_run_whose_process_does_not_answer_is_told_so(project: Path) -> None:
    with start(project, "run", "/wait") as process:
        gate = wait_for_the_gate(project)
        run_id = told(orchestrate(project, "status", "--json"))["runId"]
        process.send_signal(signal.SIGSTOP)
        with start(project, "cancel", run_id) as cancelling:
            assert cancelling.stderr is not None
            line = cancelling.stderr.readline()
            process.send_signal(signal.SIGCONT)
            cancelling.communicate(timeout=30)
        process.communicate(timeout=30)
        os.close(gate)
    assert f"process {process.pid}" in line
    assert "has not answered" in line
    assert (cancelling.returncode, process.returncode) == (0, 3)
