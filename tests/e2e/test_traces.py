"""The real Claude Code in the trace of a run: its spans are below its attempt's, and the costs are the report's."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from tests.support.definitions import command, node, phase
from tests.support.fake_messages_api import FakeMessagesApi, Route
from tests.support.installed import ORCHESTRATE
from tests.support.otlp import collecting

TASK = "Count the beans"
CLAUDES = {
    "CLAUDE_CODE_ENABLE_TELEMETRY": "1",
    "CLAUDE_CODE_ENHANCED_TELEMETRY_BETA": "1",
    "OTEL_TRACES_EXPORTER": "otlp",
    "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
    "OTEL_BSP_SCHEDULE_DELAY": "100",
}


def test_claude_code_continues_the_trace_of_its_attempt(
    api: FakeMessagesApi, project: Path, environ: dict[str, str]
) -> None:
    counting = node("count", agent="general-purpose", minutes=0.1, context={"outputs": [{"key": "n"}]}) | {"task": TASK}
    raw = command(phase("work", counting), name="/count")
    file = project / ".claude" / "commands" / "v2" / "count.json"
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps(raw), encoding="utf-8")
    api.routes = [Route(match=TASK, steps=[{"structured": {"outputs": {"n": 3}}}])]
    with collecting() as collector:
        env = environ | CLAUDES | collector.environment
        done = subprocess.run(
            [ORCHESTRATE, "run", "/count"],
            cwd=project,
            env=env,
            capture_output=True,
            text=True,
            timeout=50,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        report = subprocess.run(
            [ORCHESTRATE, "report", "--format", "json"],
            cwd=project,
            env=environ,
            capture_output=True,
            timeout=50,
            check=True,
        )
    numbers = json.loads(report.stdout)
    attempt, run = collector.one("invoke_agent general-purpose"), collector.one("invoke_workflow /count")
    theirs = [span for span in collector.spans if span.service == "claude-code"]
    assert theirs, {span.service for span in collector.spans}
    assert {span.trace for span in theirs} == {run.trace}
    known = {span.id for span in theirs}
    assert {span.parent for span in theirs if span.parent not in known} == {attempt.id}
    assert numbers["costUsd"] > 0
    for whole in (attempt, run):
        assert whole.attributes["gen_ai.usage.input_tokens"] == numbers["inputTokens"]
        assert whole.attributes["gen_ai.usage.output_tokens"] == numbers["outputTokens"]
        assert round(whole.attributes["orchestration.cost.usd"], 6) == round(numbers["costUsd"], 6)
    assert collector.total("gen_ai.client.token.usage", **{"gen_ai.token.type": "input"}) == numbers["inputTokens"]
    assert round(collector.total("orchestration.cost"), 6) == round(numbers["costUsd"], 6)
    assert attempt.attributes["gen_ai.conversation.id"] == numbers["nodes"][0]["spans"][0]["session"]
