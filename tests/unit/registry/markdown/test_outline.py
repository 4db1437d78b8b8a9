"""What of a markdown file is a step, in which order it runs, and that nothing of the rest is lost."""

from __future__ import annotations

from typing import Any

import pytest

from engine.errors import InputError
from registry.markdown.convert import Converted, convert


def phases_of(text: str) -> list[tuple[str, bool, list[str]]]:
    """Name, parallel, and the tasks of each phase."""
    definition = convert(text, stem="x").definition
    return [
        (phase["name"], phase["parallel"], [node["task"] for node in phase["agents"]]) for phase in definition["phases"]
    ]


def nodes_of(text: str) -> list[dict[str, Any]]:
    return [node for phase in convert(text, stem="x").definition["phases"] for node in phase["agents"]]


def told(converted: Converted, code: str) -> list[tuple[str | None, str]]:
    return [(problem.place, problem.message) for problem in converted.problems if problem.code == code]


def initial(text: str) -> dict[str, str]:
    found: dict[str, str] = convert(text, stem="x").definition.get("globalContext", {}).get("initial", {})
    return found


SHIP = """# Ship

Bring the work to the main branch.

## Steps

1. Run the test suite
2. Commit all changes
3. Push the branch
"""


def test_a_numbered_list_is_an_order_under_a_heading_too() -> None:
    assert phases_of(SHIP) == [("Steps", False, ["Run the test suite", "Commit all changes", "Push the branch"])]
    assert [node["dependencies"] for node in nodes_of(SHIP)] == [[], ["run-the-test-suite"], ["commit-all-changes"]]
    ((place, message),) = told(convert(SHIP, stem="x"), "V1_SEQUENTIAL")
    assert place == "7:1"
    assert 'under "Steps" run one after the other' in message


@pytest.mark.parametrize(
    ("text", "parallel"),
    [
        ("## Parallel reviews\n1. Review A\n2. Review B\n", True),
        ("## Reviews (run concurrently)\n1. Review A\n2. Review B\n", True),
        ("## Reviews\n\nRun these at the same time:\n\n1. Review A\n2. Review B\n", True),
        ("## Reviews, not in parallel\n1. Review A\n2. Review B\n", False),
        ("## Sequential, no parallel work\n1. Review A\n2. Review B\n", False),
        ("## Reviews\n1. Review A\n2. Review B\n", False),
        ("## Reviews\n- quality-reviewer - Review A\n- security-reviewer - Review B\n", True),
        ("## Reviews\n1. quality-reviewer - Review A\n2. security-reviewer - Review B\n", False),
    ],
)
def test_steps_run_side_by_side_only_where_the_text_says_so(text: str, parallel: bool) -> None:  # noqa: FBT001
    converted = convert(f"# /x\n\nReviews.\n\n{text}", stem="x")
    (phase,) = converted.definition["phases"]
    assert phase["parallel"] is parallel
    assert bool(told(converted, "V1_PARALLEL")) is parallel


def test_a_list_without_numbers_is_prose_unless_every_item_names_an_agent() -> None:
    with pytest.raises(InputError):
        convert("# /x\n\nText.\n\n- quality-reviewer - Review A\n- Look around\n", stem="x")


def test_in_a_list_with_dependencies_a_step_without_one_follows_the_one_before_it() -> None:
    text = "# /x\n\nText.\n\n1. Look\n2. Build (depends on 1)\n3. Test\n4. Ship (depends on 2)\n"
    assert [node["dependencies"] for node in nodes_of(text)] == [[], ["look"], ["build"], ["build"]]
    ((place, message),) = told(convert(text, stem="x"), "V1_SEQUENTIAL")
    assert (place, message[-10:]) == ("7:1", "3 (line 7)")


@pytest.mark.parametrize(
    "text",
    [
        "## 1. Build\nMake it.\n\n## 2. Test\nRun all.\n",
        "### Step 1: Build\nMake it.\n\n### Step 2: Test\nRun all.\n",
        "## Workflow\n\n**Step 1: Build**\n\nMake it.\n\n**Step 2: Test**\nRun all.\n",
        "## 1) Build\nMake it.\n\n## Notes\nNothing.\n\n## 2) Test\nRun all.\n",
    ],
)
def test_numbered_headings_are_steps(text: str) -> None:
    found = nodes_of(f"# /x\n\nText.\n\n{text}")
    assert [(node["task"].partition(":")[0], node["dependencies"]) for node in found] == [
        ("Build", []),
        ("Test", ["build"]),
    ]


def test_a_list_below_a_numbered_step_belongs_to_it_and_one_below_a_phase_is_its_steps() -> None:
    inner = "\n1. Fetch every branch of every remote there is\n2. Compare them with the main branch of the origin\n"
    assert [node["task"] for node in nodes_of(f"# /x\n\nT.\n\n## Step 1: Look\n{inner}\n## Step 2: Tell\nAll.\n")] == [
        "Look",
        "Tell: All",
    ]
    assert [
        node["task"][:7] for node in nodes_of(f"# /x\n\nT.\n\n## Phase 1: Look\n{inner}\n## Phase 2: Tell\nAll.\n")
    ] == [
        "Fetch e",
        "Compare",
        "Tell: A",
    ]


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        ("## Rules\n1. Use tabs\n2. Write tests\n", 'stands under "Rules"'),
        ("## Output format\n1. Write a summary\n2. List the findings\n", 'stands under "Output format"'),
        ("## Examples\n### 1. Small\nx\n### 2. Large\ny\n", None),
        (
            "## Commits\n\nCommit types:\n\n1. **feat**: a new feature\n2. **fix**: a bug\n",
            'is announced by "Commit types:"',
        ),
        ("## Commits\n\n1. **feat**: a new feature\n2. **perf**: a gain\n", "names things"),
        ("## Care\n1. Never push to main\n2. Always write tests\n", "reads as rules"),
        ("## Think\n1. What changed?\n2. Why?\n", "asks questions"),
        (
            "## Report\n\nThe report includes the following sections:\n\n1. Show the summary\n2. List risks\n",
            "is announced by",
        ),
        ("## On failure\n1. Revert the commit\n2. Tell the team\n", "is done in some cases only"),
        ("## Work\n\nIf the build is red:\n\n1. Revert the commit\n2. Tell the team\n", "is for some cases only"),
    ],
)
def test_lists_of_rules_fields_examples_types_and_alternatives_are_no_steps(other: str, reason: str | None) -> None:
    converted = convert(f"{SHIP}\n{other}", stem="x")
    assert [phase["name"] for phase in converted.definition["phases"]] == ["Steps"]
    if reason is not None:
        assert any(reason in message for _, message in told(converted, "V1_LIST_PASSED_OVER"))
    prose = converted.definition["globalContext"]["initial"]["instructions"]
    assert other.strip().splitlines()[-1] in prose


def test_steps_for_different_cases_only_are_refused_with_the_true_reason() -> None:
    text = "# Ship\n\n## Option A\n1. Push\n2. Deploy\n\n## Option B\n1. Tag\n2. Publish\n"
    with pytest.raises(
        InputError, match=r'different cases only.*"Option A" \(line 3\), "Option B" \(line 7\)'
    ) as caught:
        convert(text, stem="x")
    assert caught.value.code == "NOT_A_COMMAND"


@pytest.mark.parametrize(
    "item", ["If the tests fail, fix them", "On failure: revert", "Otherwise stop", "(Optional) Tag it"]
)
def test_what_is_done_in_some_cases_only_is_handed_to_the_step_before_it(item: str) -> None:
    text = f"# /x\n\nText.\n\n1. Run the tests\n2. {item}\n3. Push\n"
    found = nodes_of(text)
    assert [node["task"] for node in found] == ["Run the tests", "Push"]
    assert initial(text) == {"run-the-tests-details": item}
    assert {"key": "run-the-tests-details"} in found[0]["context"]["inputs"]
    assert told(convert(text, stem="x"), "V1_CONDITIONAL")[0][0] == "6:1"


def test_a_list_of_nothing_but_cases_is_read_by_every_node() -> None:
    cases = "1. If the oven is cold, heat it\n2. If the cake is burnt, say so"
    advice = f"## Improve\n\nFollow these steps:\n\n{cases}"
    text = f"# /bake\n\nBakes.\n\n## Steps\n1. Mix the flour\n2. Bake the cake\n\n{advice}\n"
    assert initial(text) == {"instructions": advice}
    assert told(convert(text, stem="x"), "V1_LIST_PASSED_OVER")[0][0] == "13:1"
    assert told(convert(text, stem="x"), "V1_CONDITIONAL") == []


def test_a_case_before_the_first_step_waits_for_it_beyond_the_text_between_them() -> None:
    text = "# /x\n\nText.\n\n1. If the oven is cold, heat it\n\nBy hand.\n\n2. Bake the cake\n3. Eat the cake\n"
    assert [node["task"] for node in nodes_of(text)] == ["Bake the cake", "Eat the cake"]
    assert initial(text) == {
        "instructions": "By hand.",
        "bake-the-cake-details": "Before this:\nIf the oven is cold, heat it",
    }


def test_what_is_no_step_is_read_by_every_node() -> None:
    text = "# /x\n\nText.\n\n## Background\nThe code is old.\n\n## Steps\n1. Look\n2. Tell\n\n## Rules\n- Be kind\n"
    assert initial(text) == {"instructions": "## Background\n\nThe code is old.\n\n## Rules\n\n- Be kind"}
    assert all({"key": "instructions"} in node["context"]["inputs"] for node in nodes_of(text))


def test_what_stands_below_a_step_and_is_too_long_for_its_task_is_read_by_its_node_alone() -> None:
    text = (
        "# /x\n\nText.\n\n1. Look\n   - at the code of every package, and at its tests, and at the documentation\n"
        "   ```\n   git log\n   ```\n\n2. Tell\n"
    )
    look, tell = nodes_of(text)
    assert (look["task"], tell["task"]) == ("Look", "Tell")
    assert initial(text) == {
        "look-details": "- at the code of every package, and at its tests, and at the documentation\n```\ngit log\n```"
    }
    assert {"key": "look-details"} in look["context"]["inputs"]
    assert {"key": "look-details"} not in tell["context"]["inputs"]


def test_a_list_goes_on_behind_what_interrupts_it() -> None:
    code = "```\ngit status --short --branch --ahead-behind --untracked-files=all .\n```"
    text = f"# /x\n\nText.\n\n1. Look\n{code}\n2. Tell\n"
    assert [node["dependencies"] for node in nodes_of(text)] == [[], ["look"]]
    assert "git status" in initial(text)["look-details"]


@pytest.mark.parametrize(
    ("line", "agent"),
    [
        ('   - Use the Task tool with subagent_type="api-designer"', "api-designer"),
        ("   - subagent_type: `api-designer`", "api-designer"),
        ("   Launch the api-designer agent with the list of endpoints", "api-designer"),
        ('   - subagent_type="api-designer", then subagent_type="tester"', "general-assistant"),
    ],
)
def test_the_agent_that_a_step_names_for_the_task_tool_does_it(line: str, agent: str) -> None:
    converted = convert(f"1. Design the interface\n{line}\n", stem="x")
    (node,) = converted.definition["phases"][0]["agents"]
    assert node["agentId"] == agent
    assert converted.sign


def test_an_agent_that_a_phase_names_does_all_its_steps() -> None:
    first = "## Phase 1: Look\n\n**Agent**: `code-scout`\n\n1. Search\n2. Read\n"
    text = f"# /x\n\nT.\n\n{first}\n## Phase 2: Tell\n1. Write\n"
    assert [node["agentId"] for node in nodes_of(text)] == ["code-scout", "code-scout", "general-assistant"]


def test_arguments_reach_every_node_and_what_is_not_filled_in_is_named_with_its_line() -> None:
    text = "# /x\n\nThe branches are: $ARGUMENTS. The first ($1) is the target.\n\n1. Fetch\n2. Merge\n"
    assert all({"key": "arguments", "required": False} in node["context"]["inputs"] for node in nodes_of(text))
    assert initial(text) == {"instructions": "The branches are: $ARGUMENTS. The first ($1) is the target."}
    ((place, message),) = told(convert(text, stem="x"), "V1_NOT_CARRIED")
    assert place == "3:1"
    assert message.startswith("$1 (line 3): is not filled in")


@pytest.mark.parametrize(
    ("line", "named"),
    [
        ("Status: !`git status`", "!`git status` (line 3)"),
        ("Read @docs/guide.md first", "@docs/guide.md (line 3)"),
        ("Take $0 and $ARGUMENTS[1]", "$0 (line 3), $ARGUMENTS[1] (line 3)"),
        ("Run ${CLAUDE_PLUGIN_ROOT}/check.sh", "${CLAUDE_PLUGIN_ROOT} (line 3)"),
    ],
)
def test_what_claude_code_would_replace_beforehand_is_named(line: str, named: str) -> None:
    converted = convert(f"# /x\n\n{line}\n\n1. Look\n", stem="x")
    assert told(converted, "V1_NOT_CARRIED")[0][1].startswith(named)


@pytest.mark.parametrize("line", ["It costs $0.02 a run", "Write to a@example.org", "Install `@scope/package`"])
def test_what_only_looks_like_it_is_not_named(line: str) -> None:
    assert told(convert(f"# /x\n\n{line}\n\n1. Look\n", stem="x"), "V1_NOT_CARRIED") == []


def test_fields_of_claude_code_without_effect_here_are_named_with_their_line() -> None:
    fields = "description: Ships\nallowed-tools: Bash\nmodel: opus\nagent: ship\neffort: high"
    converted = convert(f"---\n{fields}\n---\n# /x\n\n1. Look\n", stem="x")
    assert [place for place, _ in told(converted, "V1_NOT_CARRIED")] == ["3:1", "4:1", "5:1", "6:1"]


def test_the_frontmatter_describes_and_the_first_paragraph_is_read_by_the_nodes() -> None:
    text = "---\ndescription: Ships\n---\n# /x\n\nBe quick.\n\n1. Look\n"
    assert convert(text, stem="x").definition["description"] == "Ships"
    assert initial(text) == {"instructions": "Be quick."}


def test_a_name_with_a_colon_is_kept_whole() -> None:
    assert convert("# /svelte:migrate\n\nText.\n\n1. Look\n", stem="x").definition["name"] == "/svelte-migrate"
