from __future__ import annotations

import copy
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from engine.graph import compile_plan
from engine.model.agent import Agent
from engine.model.plan import Bundle
from engine.validation import Severity, validate_definition
from tests.support.definitions import Raw, command, node, phase, review_code

AGENTS = {name: Agent(id=name) for name in ("worker", "senior-reviewer")}
FULL = command(
    phase(
        "make",
        node(
            "build", context={"inputs": [{"key": "seed"}], "outputs": [{"key": "image", "schema": {"type": "object"}}]}
        ),
        node(
            "check",
            "build",
            timeout=900_000,
            context={"inputs": [{"key": "image", "transform": "$.id"}], "passthrough": True},
            retryPolicy={"maxAttempts": 2, "retryableErrors": ["TIMEOUT"]},
            skipCondition={"type": "context", "expression": "image.ok == false"},
            compensation={"type": "cascade", "rollbackTo": "build", "compensateOn": ["error"]},
            resources={"locks": [{"resource": "db", "type": "shared"}], "maxWaitTime": 500},
        ),
        maxParallelism=2,
    ),
    phase("ship", node("deploy", agent="command", task="/review-code now"), barrier=False, parallel=False),
    globalContext={"initial": {"seed": 1}, "cacheTTL": 60, "persistKeys": ["image"]},
    resources={"locks": [{"resource": "db"}]},
    arguments=[{"name": "target", "required": True}],
    metadata={"deprecated": True, "examples": [{"command": "/test"}]},
)
JSON = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-5, 5),
        st.floats(),
        st.text(max_size=4),
        st.sampled_from(
            ["build", "check", "deploy", "make", "ship", "image", "/review-code", "worker", "command", "2.0.0"]
        ),
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=4), inner, max_size=3)),
    max_leaves=6,
)


def places(value: object, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for step, item in inner for place in places(item, (*path, step)))]


PLACES = [path for path in places(FULL) if path]


@st.composite
def damaged(draw: st.DrawFn) -> Raw:
    """A sound command in which up to four values were replaced, renamed or doubled."""
    raw = copy.deepcopy(FULL)
    for path in draw(st.lists(st.sampled_from(PLACES), min_size=1, max_size=4)):
        parent: Any = raw
        try:
            for step in path[:-1]:
                parent = parent[step]
            value = parent[path[-1]]
        except (KeyError, IndexError, TypeError):
            continue
        action = draw(st.sampled_from(["replace", "remove", "rename", "double"]))
        if action == "replace" or not isinstance(parent, list | dict):
            parent[path[-1]] = draw(JSON)
        elif action == "remove":
            del parent[path[-1]]
        elif isinstance(parent, list):
            parent.append(copy.deepcopy(value))
        else:
            parent[f"{path[-1]}{'s' if action == 'rename' else '_'}"] = parent.pop(path[-1])
    return raw


def found(raw: object, path: str) -> bool:
    """Whether *path* leads to something in *raw*, or to a field that is missing from what is there."""
    steps = [step.replace("~1", "/").replace("~0", "~") for step in path.split("/")[1:]]
    for number, step in enumerate(steps):
        if isinstance(raw, dict) and step in raw:
            raw = raw[step]
        elif isinstance(raw, list) and step.isdecimal() and int(step) < len(raw):
            raw = raw[int(step)]
        else:
            return isinstance(raw, dict) and number == len(steps) - 1
    return True


@settings(max_examples=300)
@given(damaged())
def test_a_damaged_file_is_told_and_a_valid_one_can_be_planned(raw: Raw) -> None:
    told = validate_definition(raw, agents=AGENTS, commands={"/review-code": review_code()})
    assert told.problems == validate_definition(raw, agents=AGENTS, commands={"/review-code": review_code()}).problems
    for problem in told.problems:
        assert found(raw, problem.pointer), problem
        assert problem.message
    if told.valid:
        assert told.definition is not None
        inner = validate_definition(review_code(), agents=AGENTS).definition
        assert inner is not None
        compile_plan(Bundle(command=told.definition, agents=AGENTS, commands={"/review-code": inner}))


@given(JSON)
def test_any_json_is_judged_without_an_accident(raw: object) -> None:
    assert any(problem.severity is Severity.ERROR for problem in validate_definition(raw, agents=AGENTS).problems)
