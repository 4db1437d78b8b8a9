from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.peers.archon import shell
from registry.peers.archon.scope import TOKEN, Arguments, Reader, Scope
from registry.peers.keys import Step
from registry.peers.report import Report
from tests.unit.registry.peers.workflows import archon, differs, refused

if TYPE_CHECKING:
    from collections.abc import Mapping

SCHEMA = {"type": "object", "properties": {"n": {"type": "number"}, "t": {"type": "string"}}, "required": ["n", "t"]}


def reader() -> Reader:
    report = Report("Archon")
    scope = Scope(Arguments(report))
    scope.steps = {"x": Step("x", "x"), "o": Step("o", "o", schema=SCHEMA)}
    return Reader(scope, Step("me", "me", before={"x", "o"}, sure={"x", "o"}), report)


def convert(script: str) -> tuple[str, dict[str, str], list[str]]:
    """The script, its variables, and whatever was refused."""
    mine = reader()
    new, variables = shell.convert(script, mine, "/bash")
    return new, variables, [one.message for one in mine.report.problems if one.code == "PEER_NOT_CARRIED"]


def spliced(script: str, values: Mapping[str, str]) -> str:
    """The script with its values put in as Archon does it."""

    def put(found: object) -> str:
        text = values[TOKEN.fullmatch(found[0])[0]]  # type: ignore[index]
        return text if text.isdigit() else "'" + text.replace("'", "'\\''") + "'"

    return TOKEN.sub(put, script)


def run(script: str, variables: Mapping[str, str]) -> tuple[int, str]:
    done = subprocess.run(
        ["bash", "-c", script], capture_output=True, text=True, env={**os.environ, **variables}, check=False
    )
    return done.returncode, done.stdout


@pytest.mark.parametrize(
    "script",
    [
        "v=$x.output; printf '<%s>' \"$v\"",
        "printf '<%s>' $x.output",
        "printf '<%s>' pre$x.output-post",
        "printf '<%s>' \"$(printf '%s' $x.output)\"",
        "test $x.output = 'a b' && printf yes || printf no",
        "case $x.output in a*) printf A;; *) printf B;; esac",
        "for i in $x.output; do printf '<%s>' $i; done",
        "[[ $x.output == a* ]] && printf yes",
        'printf "%s|%s" "$o.output.n" $o.output.n',
        "printf '%s' $o.output.t # it's a comment",
        "cat <<EOF\nplain\nEOF\nprintf '%s' $x.output",
        "cat <<-'A' <<B\n\ta\n\tA\nb\nB\nprintf '%s' $x.output",
        "cat <<< $x.output",
        "printf '%s' $'it\\'s' $x.output",
        "f() { printf '<%s>' \"$1\"; }\nf $x.output",
        "printf '%s' \"${HOME:+set}\" $x.output",
        "( printf '%s' $x.output )",
        "printf '%s' \\$x $x.output",
        "n=$((1 << 2)); printf '%s' $n$x.output",
    ],
)
@pytest.mark.parametrize("text", ["a b", "it's", 'say "hi"', "$(echo no) `echo no` $HOME", "*", "", "two\nlines", "\\"])
def test_a_script_does_the_same_with_values_in_variables(script: str, text: str) -> None:
    new, variables, faults = convert(script)
    assert faults == []
    values = {"$x.output": text, "$o.output.t": text, "$o.output.n": "7"}
    by_path = {"x": text, "o.t": text, "o.n": "7"}
    assert run(new, {name: by_path[path] for name, path in variables.items()}) == run(spliced(script, values), {})


@given(st.text(alphabet="ab' \"$\\`*?[]{}()|&;<>#~!%=\n\t", max_size=12))
def test_a_value_is_never_read_as_code(text: str) -> None:
    new, variables, _ = convert("printf '%s' $x.output")
    assert variables == {"NODE_X": "x"}
    assert new == "printf '%s' \"${NODE_X}\""
    assert text not in new or text.strip() == "" or text in "printf '%s' \"${NODE_X}\""


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ('v="$x.output"', "v=\"'${NODE_X}'\""),
        ("v='a $x.output b'", "v='a '\"${NODE_X}\"' b'"),
    ],
)
def test_inside_quotes_the_quotes_of_archon_are_kept_and_named(script: str, expected: str) -> None:
    mine = reader()
    assert shell.convert(script, mine, "/bash")[0] == expected
    assert "inside quotes" in mine.report.problems[0].message


@pytest.mark.parametrize(
    "script",
    [
        "cat <<EOF\n$x.output\nEOF",
        "cat <<'EOF'\n$ARTIFACTS_DIR\nEOF",
        "cat <<EOF\n\\$ARTIFACTS_DIR\nEOF",
        "v=${a:-$x.output}",
        "v=`echo $x.output`",
        "v=`echo $ARTIFACTS_DIR`",
        "v=\\$x.output",
        "v=$'$x.output'",
        "awk '{print $ARTIFACTS_DIR}'",
        "echo $y.output",
        "echo $me.output",
        "echo $o.output.other",
        "echo $LOOP_PREV.x.output",
    ],
)
def test_a_value_in_a_place_with_another_meaning_is_refused(script: str) -> None:
    assert convert(script)[2]


def test_variables_of_the_run_are_variables_of_the_script() -> None:
    new, variables, faults = convert(
        'echo "$ARTIFACTS_DIR/a" "${ARTIFACTS_DIR}" $ARGUMENTS $DOCS_DIR <<E\n$STATE_DIR\nE'
    )
    assert faults == []
    assert new == 'echo "${ARTIFACTS_DIR}/a" "${ARTIFACTS_DIR}" $ARGUMENTS ${DOCS_DIR} <<E\n${STATE_DIR}\nE'
    assert variables == {
        "ARTIFACTS_DIR": "artifacts_dir",
        "DOCS_DIR": "docs_dir",
        "STATE_DIR": "state_dir",
        "ARGUMENTS": "arguments",
    }


def test_a_here_document_that_does_not_end_reaches_to_the_end() -> None:
    assert convert("cat <<E\n$x.output")[2]
    assert convert("echo '#' '<<' # <<E\necho $x.output")[2] == []


def test_empty_variables_are_set() -> None:
    found = archon("- {id: a, bash: 'echo $LOOP_USER_INPUT'}\n")
    assert refused(found) == []
    assert '"--set", "LOOP_USER_INPUT="' in found.agents["t-a"]
    assert "inside quotes" not in " ".join(differs(found))


def test_a_value_in_a_comment_stays_there_and_is_named() -> None:
    mine = reader()
    script = "echo a # $x.output of $ARTIFACTS_DIR"
    assert shell.convert(script, mine, "/bash") == (script, {"ARTIFACTS_DIR": "artifacts_dir"})
    assert any("in a comment" in one.message for one in mine.report.problems)
