"""The commands of the gallery: what their agents may do, and how each of them goes, simulated."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from docs.gallery_page import plan_of

from engine.graph import most_attempts, most_cost, uncapped
from engine.model.plan import NodeKind
from engine.run.events import Limits
from registry.templates import GALLERY, TEMPLATES, templates
from tests.support.gallery import NAMES, simulated

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from engine.model.plan import NodePlan

PLANS = {name: plan_of(one) for one in templates() if (name := one.name.removeprefix(f"{GALLERY}/")) in NAMES}
AGENTS = {agent.id: agent for plan in PLANS.values() for agent in plan.agents.values()}
MODELS = sorted(name for name, agent in AGENTS.items() if agent.kind.traits.needs_model)
PROGRAM_AGENTS = sorted(AGENTS.keys() - set(MODELS))
READS = {"Read", "Grep", "Glob"}
WRITES = {"Edit", "Write"}
WEB = {"WebSearch", "WebFetch"}
SOURCES = sorted((TEMPLATES / "programs").glob("*.py"))


def agent_nodes(nodes: Sequence[NodePlan]) -> Iterator[NodePlan]:
    for node in nodes:
        if node.template is not None:
            yield from agent_nodes(node.template.nodes)
        elif node.kind is NodeKind.AGENT:
            yield node


def test_there_is_a_command_for_each_kind_of_work() -> None:
    assert set(NAMES) >= {
        "fix-tests",
        "review-pull-request",
        "migrate-files",
        "upgrade-dependency",
        "research",
        "release",
        "triage-issues",
        "check-documentation",
        "fix-flaky-tests",
        "sweep-security",
    }


# --- what their agents may do ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", MODELS)
def test_a_model_has_few_tools_a_budget_and_a_limit_of_time_and_turns(name: str) -> None:
    agent = AGENTS[name]
    assert agent.tools is not None, "without a list it would have all tools"
    assert set(agent.tools) <= READS | WRITES or set(agent.tools) == WEB, (
        "no shell, no subagents, no files and web at once"
    )
    assert agent.permission_mode is None
    assert not agent.mcp_servers
    assert 0 < (agent.max_budget_usd or 0) <= 2
    assert agent.max_turns
    assert agent.timeout


@pytest.mark.parametrize("name", MODELS)
def test_a_model_that_writes_works_in_a_work_tree_of_its_own(name: str) -> None:
    agent = AGENTS[name]
    assert (agent.isolation == "worktree") is bool(WRITES & set(agent.tools or ()))


@pytest.mark.parametrize("name", PROGRAM_AGENTS)
def test_a_program_is_a_list_of_words_that_nothing_is_put_into(name: str) -> None:
    agent = AGENTS[name]
    assert agent.command[0] == "{python}"
    assert re.fullmatch(r"\.claude/programs/(\w+)/\1\.py", agent.command[1])
    assert not any("$" in word or word in {"-c", "sh", "bash"} for word in agent.command)
    assert agent.timeout


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_a_program_starts_others_without_a_shell(path: Path) -> None:
    calls = [node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Call)]
    names = {ast.unparse(call.func) for call in calls}
    assert not names & {"os.system", "os.popen", "eval", "exec", "subprocess.getoutput", "subprocess.Popen"}
    assert not [call for call in calls for keyword in call.keywords if keyword.arg == "shell"]


def test_each_agent_and_program_is_written_once() -> None:
    copies = [path for path in (TEMPLATES / GALLERY).rglob("*") if path.is_file() and not path.is_symlink()]
    assert {path.name for path in copies if "__pycache__" not in path.parts} == {"command.yaml"}
    linked = {path.resolve() for path in (TEMPLATES / GALLERY).rglob("*") if path.is_symlink()}
    assert linked == {path.resolve() for folder in ("agents", "programs") for path in (TEMPLATES / folder).glob("*.*")}


@pytest.mark.parametrize("name", NAMES)
def test_the_worst_case_is_known_and_every_model_answers_in_a_form(name: str) -> None:
    plan = PLANS[name]
    assert most_attempts(plan) <= 400
    assert 0 < (most_cost(plan) or 0) <= 150
    assert uncapped(plan, Limits()) is None
    for node in agent_nodes(plan.nodes):
        agent = plan.agents[node.agent]
        assert node.timeout > node.estimate
        if agent.kind.traits.needs_model:
            assert all(output.schema for output in node.outputs if output.required), node.id


@pytest.mark.parametrize("name", NAMES)
def test_no_text_of_strangers_gets_into_a_task(name: str) -> None:
    """It is in the inputs, where it cannot be taken for the task."""
    used = {found for node in agent_nodes(PLANS[name].nodes) for found in re.findall(r"\$\{[\w]+\.(\w+)\}", node.task)}
    assert not used & {"title", "body", "claim", "url", "quote", "message", "evidence"}


@pytest.mark.parametrize("name", NAMES)
def test_a_command_that_lets_an_agent_write_can_put_everything_back(name: str) -> None:
    """Unless the agents write nothing in the project."""
    plan = PLANS[name]
    nodes = list(agent_nodes(plan.nodes))
    if any(WRITES & set(plan.agents[node.agent].tools or ()) for node in nodes):
        saved = [node for node in nodes if node.agent == "working-tree-checkpoint"]
        assert saved
        assert all(node.compensation is not None and node.compensation.type == "rollback" for node in saved)


# --- how they go, simulated ------------------------------------------------------------------------------------------

RED: dict[str, Any]
GREEN: dict[str, Any]
RED, GREEN = ({"passed": passed, "failed": 0, "failures": []} for passed in (False, True))
FINDING = {"file": "a.py", "line": 1, "severity": "high", "claim": "x", "evidence": "y"}
NUMBERED = [FINDING | {"id": "F1"}, FINDING | {"id": "F2", "line": 2}]
VERDICT = {"verdicts": {"real": True, "severity": "high", "reason": "z"}}
CHANGED: dict[str, Any] = {"changes": {"files": [{"path": "a.py"}], "diff": "+"}}
UNCHANGED: dict[str, Any] = {"changes": {"files": [], "diff": ""}}
CLAIMS = {"candidates": [{"id": "C1", "claim": "x", "url": "https://example.org"}]}
FILES = {"files": [{"path": "a.py"}, {"path": "b.py"}]}
CHECK = {"checks": {"status": "confirmed", "finding": "x", "sources": ["https://example.org"]}}
PROPOSALS = [{"number": number, "title": "t", "labels": ["bug"]} for number in (7, 8)]
TWICE_RED: dict[str, Any] = {"run-tests": {"test_report": RED}, "mend/*/test": {"test_report": RED}}
PARSED: dict[str, Any] = {"migrate/*/try/*/check": {"problems": []}}
DRIFT = {"drifts": [{"line": 1, "claim": "x", "reality": "y", "evidence": "z"}]}
FLAKES: dict[str, Any] = {
    "flaky_tests": [{"test": name, "failed": 1, "runs": 10, "messages": []} for name in ("a", "b")]
}


@dataclass(frozen=True)
class Course:
    """How a simulated run goes."""

    command: str
    outputs: dict[str, Any]
    end: str
    failures: dict[str, str] = field(default_factory=dict)
    ran: set[str] = field(default_factory=set)
    """Nodes that ran, among others."""
    undone: set[str] = field(default_factory=set)
    """All nodes that were undone."""


COURSES = {
    "the tests are green after two iterations": Course(
        "fix-tests",
        {
            "run-tests": {"test_report": RED},
            "mend/1/test": {"test_report": RED | {"failed": 1}},
            "mend/2/test": {"test_report": GREEN},
            "compare": CHANGED,
            "judge": {"honest": True},
        },
        "completed",
        ran={"mend/2/edit", "judge"},
    ),
    "the tests stay red": Course("fix-tests", TWICE_RED, "compensated", ran={"mend/2/edit"}, undone={"save"}),
    "the tests were green before": Course(
        "fix-tests", {"run-tests": {"test_report": GREEN}, "compare": UNCHANGED}, "completed", ran={"compare"}
    ),
    "a test was weakened": Course(
        "fix-tests",
        {
            "run-tests": {"test_report": RED},
            "mend/1/test": {"test_report": GREEN},
            "compare": CHANGED,
            "judge": {"honest": False},
        },
        "compensated",
        ran={"judge"},
        undone={"save"},
    ),
    "findings are verified": Course(
        "review-pull-request",
        {
            "compare": CHANGED,
            "review/*": {"findings": [FINDING]},
            "merge": {"candidates": NUMBERED},
            "verify/*": VERDICT,
        },
        "completed",
        ran={"review/5", "verify/2"},
    ),
    "one finding cannot be verified": Course(
        "review-pull-request",
        {"compare": CHANGED, "merge": {"candidates": NUMBERED}},
        "degraded",
        failures={"verify/1": "timeout"},
        ran={"verify/2", "report"},
    ),
    "the branch changed nothing": Course(
        "review-pull-request", {"compare": UNCHANGED, "merge": {"candidates": []}}, "completed", ran={"report"}
    ),
    "a file is parsed at the second try": Course(
        "migrate-files",
        {"list": FILES, **PARSED, "migrate/1/try/1/check": {"problems": ["x"]}},
        "completed",
        ran={"migrate/1/try/2/edit", "migrate/2/try/1/edit"},
    ),
    "one file cannot be migrated": Course(
        "migrate-files",
        {"list": FILES, **PARSED},
        "degraded",
        failures={"migrate/2/try/1/edit": "error"},
        ran={"test-after"},
        undone={"migrate/2/try/1/edit"},
    ),
    "the tests are red after a migration": Course(
        "migrate-files",
        {"list": FILES, **PARSED, "test-after": {"tests_pass": False}},
        "compensated",
        ran={"test-after"},
        undone={"save", "migrate/1/try/1/edit", "migrate/2/try/1/edit"},
    ),
    "an upgrade breaks nothing": Course(
        "upgrade-dependency", {"test": {"test_report": GREEN}}, "completed", ran={"upgrade"}
    ),
    "an upgrade cannot be mended": Course(
        "upgrade-dependency",
        {"test": {"test_report": RED}, "mend/*/test": {"test_report": RED}},
        "compensated",
        ran={"read", "mend/2/edit"},
        undone={"upgrade", "save"},
    ),
    "the tests were red before the upgrade": Course(
        "upgrade-dependency", {"test-before": {"tests_pass": False}}, "compensated", undone={"save"}
    ),
    "claims are checked": Course(
        "research", {"collect": CLAIMS, "check/*": CHECK}, "completed", ran={"search/3", "check/1", "write"}
    ),
    "a link is made up": Course(
        "research", {"collect": CLAIMS, "check/*": CHECK, "guard": {"cited_well": False}}, "failed", ran={"write"}
    ),
    "the release is published at the second look": Course(
        "release",
        {"wait/1": {"state": {"published": False}}, "wait/2": {"state": {"published": True}}},
        "completed",
        ran={"wait/2", "push-branch"},
    ),
    "the last step of a release fails": Course(
        "release",
        {"wait/*": {"state": {"published": True}}},
        "compensated",
        failures={"push-branch": "error"},
        ran={"wait/1"},
        undone={"push-tag", "tag", "commit"},
    ),
    "issues are labelled": Course(
        "triage-issues", {"propose": {"proposals": PROPOSALS}}, "completed", ran={"triage/3", "label/2"}
    ),
    "one issue cannot be labelled": Course(
        "triage-issues",
        {"propose": {"proposals": PROPOSALS}},
        "compensated",
        failures={"label/2": "error"},
        ran={"label/1"},
        undone={"label/1", "label/2"},
    ),
    "there is no issue": Course(
        "triage-issues",
        {"list": {"issues": [], "labels": []}, "propose": {"proposals": []}},
        "completed",
        ran={"propose"},
    ),
    "one page is wrong": Course(
        "check-documentation",
        {"list": FILES, "pages/1/audit": {"drifts": []}, "pages/2/audit": DRIFT},
        "completed",
        ran={"pages/2/correct", "guard"},
    ),
    "code was changed": Course(
        "check-documentation",
        {"list": FILES, "guard": {"only_documentation": False}},
        "compensated",
        ran={"guard"},
        undone={"save"},
    ),
    "one of two flaky tests cannot be mended": Course(
        "fix-flaky-tests",
        {
            "hunt": FLAKES,
            "mend/1/mend/1/rerun": {"rerun": {"stable": True}},
            **{f"mend/2/mend/{number}/rerun": {"rerun": {"stable": False}} for number in (1, 2, 3)},
        },
        "degraded",
        ran={"mend/1/mend/1/edit", "mend/2/mend/3/edit"},
        undone={"mend/2/save"},
    ),
    "one way in is not audited": Course(
        "sweep-security",
        {"merge": {"candidates": NUMBERED}, "verify/*": VERDICT},
        "degraded",
        failures={"audit/1": "error"},
        ran={"audit/2", "verify/2", "report"},
    ),
}


@pytest.mark.parametrize("course", COURSES.values(), ids=COURSES)
async def test_a_simulated_run(course: Course, tmp_path: Path) -> None:
    done = await simulated(tmp_path, course.command, course.outputs, course.failures)
    assert str(done.run.status) == course.end, done.failures
    assert {
        node for node in course.ran if done.states.get(node) in {"completed", "compensated", "failed"}
    } == course.ran
    assert {node for node, state in done.states.items() if "compensated" in state} == course.undone


def test_every_command_is_simulated() -> None:
    assert {course.command for course in COURSES.values()} == set(NAMES)
