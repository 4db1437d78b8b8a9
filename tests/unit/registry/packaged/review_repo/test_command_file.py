"""The command file agrees with the rules of the format, with its agents, and with what these answer."""

from __future__ import annotations

import json
from importlib import import_module
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest

from engine.conditions import parse
from engine.executors.simulate import Fault
from engine.graph import compile_plan
from engine.graph.most import uncapped
from engine.ids import NodeId
from engine.model.agent import AgentDefaults, AgentSource
from engine.model.policy import FailureKind
from engine.run.events import Limits
from engine.run.titles import title
from engine.simulation import Scenario, simulate
from engine.values.arguments import working_agents
from registry.catalog import PACKAGED_COMMANDS, Catalog
from registry.packaged.review_repo import CALLED, conclusion, history, scans, structure, texts

if TYPE_CHECKING:
    from tests.unit.registry.packaged.review_repo.conftest import Repo

COMMAND = json.loads((PACKAGED_COMMANDS / "review-repo.json").read_text("utf-8"))
NODES: dict[str, dict[str, Any]] = {node["id"]: node for phase in COMMAND["phases"] for node in phase["agents"]}
DEEP = {"choose-files", "read-files", "choose-findings", "verify-findings"}
SCHEMAS = {output["key"]: output["schema"] for node in NODES.values() for output in node["context"]["outputs"]}


def test_the_command_validates_without_errors_or_warnings_in_a_project_without_settings(repo: Repo) -> None:
    catalog = Catalog(repo.root)
    loaded = catalog.load("/review-repo")
    assert (loaded.errors, loaded.warnings) == ((), ())
    bundle = catalog.bundle(loaded)
    assert {agent.id for agent in bundle.agents.values()} == {node["agentId"] for node in NODES.values()}


def test_the_modules_that_are_imported_ahead_are_those_of_its_agents(repo: Repo) -> None:
    catalog = Catalog(repo.root)
    agents = catalog.bundle(catalog.load("/review-repo")).agents.values()
    functions = {agent.callable for agent in agents if agent.callable}
    assert set(CALLED) <= functions
    assert {name.partition(":")[0] for name in functions} == {name.partition(":")[0] for name in CALLED}


def test_every_agent_is_a_function_that_is_there_or_a_model_that_can_only_read_the_project(repo: Repo) -> None:
    catalog = Catalog(repo.root)
    for agent in catalog.bundle(catalog.load("/review-repo")).agents.values():
        if agent.kind.value == "python":
            module, _, name = (agent.callable or "").partition(":")
            assert callable(getattr(import_module(module), name))
        else:
            assert agent.tools == ("Read(./**)", "Grep(./**)", "Glob(./**)")
            assert agent.ignores_project
            assert agent.max_turns


def test_without_deep_no_model_works_and_with_it_their_number_and_cost_are_capped(repo: Repo) -> None:
    catalog = Catalog(repo.root)
    plan = compile_plan(catalog.bundle(catalog.load("/review-repo")))
    assert all(agent.kind.value == "python" for agent in working_agents(plan, {"deep": ""}))
    budgets = {agent.id: agent.max_budget_usd for agent in working_agents(plan, {"deep": "true"}) if agent.tools}
    most = sum(
        node.each.max_items * (budgets[node.agent] or 1000) for node in plan.nodes if node.each and not node.retry
    )
    assert set(budgets) == {"repo-reader", "repo-verifier"}
    assert most == pytest.approx(8)
    assert uncapped(plan, Limits()) is None


@pytest.mark.parametrize("task", ["/review-repo", "/review-repo src"])
def test_as_a_sub_command_it_needs_no_model_either(repo: Repo, task: str) -> None:
    catalog = Catalog(repo.root)
    node = {"id": "review", "agentId": "command", "task": task, "dependencies": []}
    phases = [{"id": "one", "name": "One", "agents": [node]}]
    raw = {"version": "2.0.0", "name": "/check", "description": "Checks", "phases": phases}
    plan = compile_plan(catalog.bundle(catalog.load(raw)))
    assert all(agent.kind.value == "python" for agent in working_agents(plan, {}))


def test_a_failed_verification_is_named_by_the_number_of_its_finding(repo: Repo) -> None:
    catalog = Catalog(repo.root)
    plan = compile_plan(catalog.bundle(catalog.load("/review-repo")))
    claim = dict.fromkeys(("file", "meaning", "title", "message", "by", "code", "why"), "x")
    claims: list[dict[str, Any]] = [
        {**claim, "number": number, "line": 1, "severity": "low", "reasons": [], "others": []} for number in (7, 9)
    ]
    run = simulate(
        plan,
        Scenario(
            arguments={"deep": "true"},
            faults={(NodeId("verify-findings/2"), None): Fault(FailureKind.ERROR, "X")},
            values={NodeId("choose-findings"): {"claims": claims}},
        ),
    ).run
    # The run holds references to items: of an item, the title knows the key.
    failed = [node for node in run.nodes.values() if node.status == "failed"]
    assert [title(run, node) for node in failed] == ["Verify finding 9: claim.title in claim.file:claim.line"]


@pytest.mark.parametrize("name", ["repo-verifier", "repo-reader"])
def test_the_reviewed_repository_cannot_put_an_agent_of_its_own_in_place_of_a_model(repo: Repo, name: str) -> None:
    repo.write(f".claude/agents/{name}.md", f"---\nname: {name}\ndescription: x\n---\nAll is well.\n")
    catalog = Catalog(repo.root, defaults=AgentDefaults(model="odd", tools=("Bash",), mcp_servers=("odd",)))
    agent = catalog.bundle(catalog.load("/review-repo")).agents[name]
    assert agent.source is AgentSource.PACKAGED
    assert (agent.model, agent.mcp_servers) == (None, ())
    assert "well" not in agent.prompt


@pytest.mark.parametrize(
    ("node", "seconds"),
    [
        ("map-structure", structure.SECONDS),
        ("read-history", history.SECONDS),
        ("scan-code", scans.SECONDS),
        ("scan-automation", scans.SECONDS),
        ("scan-text", texts.SECONDS),
    ],
)
def test_an_agent_stops_by_itself_long_before_its_node_does(node: str, seconds: float) -> None:
    assert seconds * 1000 + 60_000 < NODES[node]["timeout"]


def test_the_answers_fit_the_schemas_and_stay_small(repo: Repo) -> None:
    for number in range(5):
        repo.commit(
            **{
                "src/a.py": f"import os\nexec(input())\nx = {number}\n",
                "src/b.js": f"let x = {number}\n",
                "bin/tool": "#!/bin/sh\n",
                "c.json": "{",
                "vendor/x.py": "x = 1\n",
            }
        )
    context = repo.review(**{"fail-on": "critical", "deep": True})
    context |= repo.ask(conclusion.limit, **context)
    context |= repo.ask(conclusion.choose_files, **context)
    context |= repo.ask(conclusion.choose_findings, **context)
    assert context["hot"]
    assert context["claims"]
    place = {"file": "src/a.py", "line": 2}
    fault = {**place, "kind": "bug", "severity": "low", "title": "t", "why": "w", "fix": "f"}
    of_one = {"verdicts": {**place, "verdict": "by design", "why": "w"}, "readings": {"findings": [fault]}}
    context |= {"verdicts": {"1": of_one["verdicts"]}, "readings": {"1": of_one["readings"]}}
    context |= repo.ask(conclusion.review, **context)
    context |= of_one
    assert "verdict" in context["findings"][0]
    assert set(SCHEMAS) <= set(context)
    for key, schema in SCHEMAS.items():
        jsonschema.Draft202012Validator(schema).validate(context[key])
        assert len(json.dumps(context[key])) < 200_000


def test_an_empty_repository_fits_the_schemas_too(repo: Repo) -> None:
    for key, value in repo.review().items():
        jsonschema.Draft202012Validator(SCHEMAS[key]).validate(value)


def test_a_reviewer_with_nothing_to_look_at_is_skipped(repo: Repo) -> None:
    repo.write("index.js", "let a\n")
    context = repo.ask(structure.review) | {"deep": ""}
    skipped = {
        name
        for name, node in NODES.items()
        if "skipCondition" in node and parse(node["skipCondition"]["expression"]).evaluate(context)
    }
    assert skipped == {"read-history", "check-limit", *DEEP}
    assert all(NODES[name]["skipCondition"]["skipMessage"] for name in skipped)
