"""What programs and functions get of our environment, what is withheld, and what of it comes back."""

from __future__ import annotations

import asyncio
import json
import os
import re
import textwrap
from typing import TYPE_CHECKING

import pytest
from msgspec import structs

from engine.executors.process import ProcessExecutor
from engine.executors.python import PythonExecutor
from engine.model.agent import Agent
from engine.model.policy import FailureKind
from tests.support.orders import Beats, order_for

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from engine.executors.port import Outcome
    from engine.model.policy import Failure

pytestmark = pytest.mark.processes

SECRET = "no-form-that-is-known"  # noqa: S105 - made up
PRELUDE = """
import json, os, sys
request = json.load(sys.stdin)
def answer(**outputs): print(json.dumps({"outputs": outputs}))
"""
GIVEN = {
    "HOME": "/home/me", "LANG": "C.UTF-8", "LC_TIME": "C", "TMPDIR": "/var/scratch", "TZ": "UTC", "USER": "me",
    "XDG_CACHE_HOME": "/home/me/cache", "HTTPS_PROXY": "http://proxy:1", "no_proxy": "localhost", "ALL_PROXY": "http://p:1",
    "SSL_CERT_FILE": "/etc/ca.pem", "REQUESTS_CA_BUNDLE": "/etc/ca.pem", "NODE_EXTRA_CA_CERTS": "/etc/ca.pem",
}  # fmt: skip
WITHHELD = {
    "AWS_SECRET_ACCESS_KEY": "aws-value", "GITHUB_TOKEN": "gh-value", "SSH_AUTH_SOCK": "/run/agent",
    "DATABASE_URL": "db", "ORCHESTRATION_HTTP_TOKEN": "ours", "CLAUDECODE": "1", "ANTHROPIC_API_KEY": "key-value",
}  # fmt: skip


@pytest.fixture(autouse=True)
def _variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {**GIVEN, **WITHHELD, "DEPLOY_TOKEN": SECRET}.items():
        monkeypatch.setenv(name, value)


async def run(
    code: str,
    folder: Path,
    *,
    env: Mapping[str, str] | None = None,
    users: Mapping[str, str] | None = None,
    beats: Beats | None = None,
) -> Outcome:
    (folder / "agent.py").write_text(PRELUDE + textwrap.dedent(code))
    agent = Agent(id="a", command=("{python}", "agent.py"), env=dict(env or {}))
    execution = ProcessExecutor(users).execute(order_for(agent, project=folder), beats or Beats())
    return await asyncio.wait_for(execution, 30)


async def failure_of(code: str, folder: Path, **options: Mapping[str, str]) -> Failure:
    failure = (await run(code, folder, **options)).failure  # type: ignore[arg-type]
    assert failure is not None
    return failure


async def test_a_program_gets_its_place_language_proxies_and_certificates_and_no_secret(tmp_path: Path) -> None:
    outputs = (await run("answer(**os.environ)", tmp_path)).outputs
    assert {name: outputs.get(name) for name in GIVEN} == GIVEN
    assert outputs["PATH"] == os.environ["PATH"]
    assert WITHHELD.keys() & outputs.keys() == set()
    known = re.compile("PATH|LOGNAME|LANGUAGE|(LC|XDG|ORCHESTRATION|COVERAGE)_.*|.*(PROXY|proxy)|.*(CERT|CA).*")
    assert [name for name in outputs.keys() - GIVEN.keys() if not known.fullmatch(name)] == []


async def test_a_function_gets_the_same_as_a_program(tmp_path: Path) -> None:
    (tmp_path / "checks.py").write_text('import os\ndef see(request): return {"outputs": {"n": list(os.environ)}}\n')
    order = order_for(Agent(id="a", callable="checks:see"), project=tmp_path)
    seen = set((await PythonExecutor().execute(order, Beats())).outputs["n"])
    assert GIVEN.keys() <= seen
    assert WITHHELD.keys() & seen == set()


async def test_a_file_hands_a_variable_on_by_its_name(tmp_path: Path) -> None:
    code = """
        names = ("DEPLOY_TOKEN", "URL", "LITERAL", "OTHER")
        answer(found={name: len(os.environ.get(name, "")) for name in names})
        """
    asked = {
        "DEPLOY_TOKEN": "$DEPLOY_TOKEN",
        "URL": "https://me:${DEPLOY_TOKEN}@host",
        "LITERAL": "$$HOME",
        "OTHER": "${MISSING:-else}",
    }
    found = (await run(code, tmp_path, env=asked)).outputs["found"]
    assert found == {"DEPLOY_TOKEN": len(SECRET), "URL": len(f"https://me:{SECRET}@host"), "LITERAL": 5, "OTHER": 4}


async def test_the_users_settings_hand_variables_to_all_agents_and_the_file_wins(tmp_path: Path) -> None:
    code = "answer(found=[os.environ['STAGE'], os.environ['REGION']])"
    outcome = await run(code, tmp_path, env={"STAGE": "test"}, users={"STAGE": "live", "REGION": "$TZ"})
    assert outcome.outputs["found"] == ["test", "UTC"]


@pytest.mark.parametrize("name", ["NOT_SET_HERE", "ORCHESTRATION_HTTP_TOKEN"])
async def test_a_variable_that_is_not_there_fails_the_attempt_before_it_starts(tmp_path: Path, name: str) -> None:
    failure = await failure_of("open('started', 'w')", tmp_path, env={"X": f"${name}"})
    assert (failure.kind, failure.code) == (FailureKind.VALIDATION, "VARIABLE_NOT_SET")
    assert name in failure.message
    assert "agent's file" in failure.message
    assert not (tmp_path / "started").exists()
    assert "[agents] env" in (await failure_of("", tmp_path, users={"X": f"${name}"})).message


@pytest.mark.parametrize(
    ("code", "named"),
    [
        ("os.environ['GITHUB_TOKEN']", "GITHUB_TOKEN"),
        ("os.environ.get('DATABASE_URL') or sys.exit(3)", "DATABASE_URL"),
        ("sys.exit('git@host: Permission denied (publickey).')", "SSH_AUTH_SOCK"),
    ],
)
async def test_a_failure_names_the_withheld_variable_that_it_may_be_due_to(
    tmp_path: Path, code: str, named: str
) -> None:
    hint = (await failure_of(code, tmp_path)).hint or ""
    assert hint.startswith(f"Withheld from this agent: {named}.")
    assert f'{named}: "${named}"' in hint
    assert WITHHELD[named] not in hint


async def test_a_variable_that_a_module_beside_the_program_reads_is_named(tmp_path: Path) -> None:
    (tmp_path / "client.py").write_text("import os\ntoken = os.environ.get('AWS_SECRET_ACCESS_KEY')\n")
    assert "AWS_SECRET_ACCESS_KEY" in ((await failure_of("import client; sys.exit(3)", tmp_path)).hint or "")


async def test_the_words_of_a_command_are_looked_at_too(tmp_path: Path) -> None:
    agent = Agent(id="a", command=("sh", "-c", 'test -n "$GITHUB_TOKEN"'))
    failure = (await ProcessExecutor().execute(order_for(agent, project=tmp_path), Beats())).failure
    assert failure is not None
    assert "GITHUB_TOKEN" in (failure.hint or "")


async def test_an_agents_own_hint_stays_before_ours(tmp_path: Path) -> None:
    told = json.dumps({"failure": {"code": "NO", "message": "GITHUB_TOKEN is missing", "hint": "Log in."}})
    assert ((await failure_of(f"print({told!r})", tmp_path)).hint or "").startswith("Log in. Withheld from this agent")


async def test_a_failure_that_has_to_do_with_no_variable_names_none(tmp_path: Path) -> None:
    assert (await failure_of("sys.exit('it broke')", tmp_path)).hint is None


async def test_a_secret_that_was_handed_over_comes_back_in_nothing(tmp_path: Path) -> None:
    beats = Beats()
    code = """
        token = os.environ["T"]
        os.write(2, token[:5].encode())
        os.write(2, token[5:].encode())
        answer(n={"said": "it is " + token, token: 1})
        """
    outcome = await run(code, tmp_path, env={"T": "$DEPLOY_TOKEN"}, beats=beats)
    assert outcome.outputs == {"n": {"said": "it is [redacted]", "[redacted]": 1}}
    assert SECRET not in beats.said


async def test_a_secret_is_masked_in_a_failure_even_where_it_was_cut(tmp_path: Path) -> None:
    code = "sys.exit(os.environ['T'] + 'x' * {})"
    for filling in (10, 1500 - 3, 1500 - len(SECRET)):
        failure = await failure_of(code.format(filling), tmp_path, env={"T": "$DEPLOY_TOKEN"})
        said = f"{failure.message}{failure.partial}"
        assert not any(SECRET[at:] in said for at in range(len(SECRET) - 2))


async def test_a_plain_value_that_was_handed_over_stays_readable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STAGE", "prod")
    code = "answer(n=[os.environ['STAGE'], os.environ['HERE']])"
    outcome = await run(code, tmp_path, env={"STAGE": "$STAGE", "HERE": "$HOME"})
    assert outcome.outputs == {"n": ["prod", GIVEN["HOME"]]}


async def test_a_worktrees_agent_is_told_of_no_variable_that_would_lead_git_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_DIR", "/elsewhere")
    order = order_for(Agent(id="a", command=("sh", "-c", "echo $GIT_DIR; exit 3")), project=tmp_path)
    failure = (await ProcessExecutor().execute(structs.replace(order, worktree=tmp_path), Beats())).failure
    assert failure is not None
    assert failure.hint is None
