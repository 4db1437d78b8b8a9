from __future__ import annotations

import io
import json
import sys
from typing import Any

import pytest

from registry.packaged.run_script import as_text, main

PYTHON = ("--", sys.executable, "-c")


@pytest.fixture
def answer(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Any:  # noqa: ANN401 - a function
    """Runs the starter with inputs; returns its exit code and answer."""

    def run(*arguments: str, **inputs: object) -> tuple[int, Any, str]:
        monkeypatch.setattr("sys.stdin", io.StringIO(json.dumps({"inputs": inputs})))
        code = main(arguments)
        out, err = capfd.readouterr()
        return code, json.loads(out) if out else None, err

    return run


def test_the_output_of_a_program_is_a_text_without_its_last_line_break(answer: Any) -> None:  # noqa: ANN401
    assert answer("--text", "x", *PYTHON, "print('a\\n')")[:2] == (0, {"outputs": {"x": "a\n"}})


def test_a_failed_program_fails_with_its_code_and_shows_its_output(answer: Any) -> None:  # noqa: ANN401
    code, found, err = answer("--text", "x", *PYTHON, "print('why'); raise SystemExit(3)")
    assert (code, found) == (3, None)
    assert "why" in err
    assert answer("--text", "x", *PYTHON, "import os; os.kill(os.getpid(), 9)")[0] == 137


def test_values_are_variables(answer: Any) -> None:  # noqa: ANN401
    code = "import os; print(os.environ['A'], os.environ['B'], os.environ['C'] == '', os.environ['D'])"
    options = ("--env", "A=x.n", "--env", "B=x", "--set", "C=", "--env", "D=y.z", "--optional", "y.z", "--text", "o")
    found = answer(*options, *PYTHON, code, x={"n": 3.0}, y={"z": None})[1]
    assert found == {"outputs": {"o": '3 {"n":3} True '}}


@pytest.mark.parametrize("inputs", [{}, {"x": "text"}, {"x": {}}])
def test_a_value_that_is_not_there_is_a_failure(answer: Any, inputs: dict[str, object]) -> None:  # noqa: ANN401
    found = answer("--env", "A=x.n", "--text", "o", *PYTHON, "", **inputs)[1]
    assert found["failure"]["code"] == "MISSING_VALUE"


def test_members_of_the_output_are_texts(answer: Any) -> None:  # noqa: ANN401
    print_json = 'print(\'```json\\n{"a": true, "b": 1.0, "c": "x", "d": null}\\n```\')'
    outputs = answer("--text", "o", "--members", "m", *PYTHON, print_json)[1]["outputs"]
    assert outputs["m"] == {"a": "true", "b": "1", "c": "x", "d": "null"}
    assert answer("--members", "m", *PYTHON, "print([1])")[1] == {"outputs": {"m": {}}}


def test_a_list_is_a_list(answer: Any) -> None:  # noqa: ANN401
    assert answer("--list", "l", *PYTHON, "print([1])")[1] == {"outputs": {"l": [1]}}
    assert answer("--list", "l", *PYTHON, "print({})")[1] == {"outputs": {"l": "{}\n"}}


def test_a_check_answers_with_its_exit_code(answer: Any) -> None:  # noqa: ANN401
    assert answer("--passed", "p", *PYTHON, "")[1] == {"outputs": {"p": True}}
    assert answer("--passed", "p", *PYTHON, "raise SystemExit(1)")[1] == {"outputs": {"p": False}}


def test_a_result_has_all_that_a_program_says(answer: Any) -> None:  # noqa: ANN401
    code = "import sys; print('{\"n\": 1}'); print('e', file=sys.stderr); sys.exit(2)"
    found = answer("--result", "r", *PYTHON, code)[1]["outputs"]["r"]
    assert found == {"stdout": '{"n": 1}\n', "stderr": "e\n", "exit_code": 2, "n": 1}
    killed = answer("--result", "r", *PYTHON, "import os; os.kill(os.getpid(), 9)")[1]["outputs"]["r"]
    assert killed["exit_code"] == -9  # as Python has it
    assert answer("--result", "r", "--strict", *PYTHON, "print(1)")[1]["failure"]["code"] == "NO_JSON_OBJECT"


def test_values_are_filled_into_words_only_if_that_is_asked_for(answer: Any) -> None:  # noqa: ANN401
    words = (*PYTHON, "import sys; print(sys.argv[1:])", "{{x}}", "{{x|tojson}}", "{{y}}")
    filled = answer("--text", "o", "--fill", "--python", *words, x={"b": "<", "a": True}, y=True)[1]["outputs"]["o"]
    assert filled == str([str({"b": "<", "a": True}), '{"a": true, "b": "\\u003c"}', "True"])
    assert answer("--text", "o", *words)[1]["outputs"]["o"] == str(["{{x}}", "{{x|tojson}}", "{{y}}"])


def test_stdin_is_filled_in(answer: Any) -> None:  # noqa: ANN401
    read = "import sys; print(sys.stdin.read(), end='')"
    assert answer("--text", "o", "--stdin", "{{x|json}}", *PYTHON, read, x=[1])[1]["outputs"]["o"] == "[\n  1\n]"
    assert answer("--text", "o", *PYTHON, read)[1]["outputs"]["o"] == ""


def test_a_failure_can_be_all_that_it_does(answer: Any) -> None:  # noqa: ANN401
    failure = answer("--fail", "No: {{x}}", x="a b")[1]["failure"]
    assert (failure["code"], failure["message"]) == ("STOPPED", "No: a b")


def test_a_program_that_does_not_exist_is_a_failure(answer: Any) -> None:  # noqa: ANN401
    assert answer("--text", "o", "--", "/no/such/program")[1]["failure"]["code"] == "PROGRAM_NOT_FOUND"


def test_its_own_words_can_be_those_of_the_command_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("{}"))
    monkeypatch.setattr("sys.argv", ["run_script", "--fail", "x"])
    assert main() == 0


@pytest.mark.parametrize(
    ("value", "text"), [("a", "a"), (2.0, "2"), (2.5, "2.5"), (1e22, "1e+22"), (None, "null"), ([1, "ä"], '[1,"ä"]')]
)
def test_a_value_as_a_text(value: object, text: str) -> None:
    assert as_text(value) == text
