from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from engine.errors import InputError
from engine.graph import compile_plan
from engine.model.agent import Agent, AgentKind, AgentSource
from engine.validation import Severity
from registry.catalog import Catalog
from registry.markdown.convert import Converted, convert
from registry.markdown.guess import guess_agent
from registry.markdown.phases import levels, needs_all_before, phase_names

ROOT = Path(__file__).parents[4]
TUTORIAL = """# /review-code

Review code for quality and security issues.

1. Analyze code structure (5 minutes)
2. Review code quality (depends on step 1, 10 minutes)
3. Review security (depends on step 1, 10 minutes)
4. Generate report (depends on steps 2,3, 5 minutes)
"""


def nodes(converted: Converted) -> dict[str, dict[str, Any]]:
    return {node["id"]: node for phase in converted.definition["phases"] for node in phase["agents"]}


def only(step: str) -> dict[str, Any]:
    (node,) = nodes(convert(f"# /x\n\nText.\n\n1. {step}\n", stem="x")).values()
    return node


def codes(converted: Converted) -> list[str]:
    return [problem.code for problem in converted.problems]


def test_the_tutorial_becomes_analysis_parallel_reviews_and_report() -> None:
    definition = convert(TUTORIAL, stem="anything").definition
    assert definition["name"] == "/review-code"
    assert definition["description"] == "Review code for quality and security issues."
    assert [
        (phase["id"], phase["name"], phase["parallel"], len(phase["agents"])) for phase in definition["phases"]
    ] == [
        ("analysis", "Analysis", False, 1),
        ("parallel-reviews", "Parallel Reviews", True, 2),
        ("report", "Report", False, 1),
    ]
    report = definition["phases"][2]["agents"][0]
    assert report["dependencies"] == ["review-code-quality", "review-security"]
    assert all("barrier" not in phase for phase in definition["phases"])


def test_the_tutorial_takes_twenty_minutes_instead_of_thirty() -> None:
    catalog = Catalog(ROOT)
    loaded = catalog.load(convert(TUTORIAL, stem="x").definition)
    assert loaded.errors == ()
    plan = compile_plan(catalog.bundle(loaded))
    assert (plan.critical_path_time.total_seconds(), plan.sequential_time.total_seconds()) == (1200, 1800)


@pytest.mark.parametrize(
    ("step", "agent", "task", "time"),
    [
        ("senior-reviewer - Review the code (5 min)", "senior-reviewer", "Review the code", 300_000),
        ("architect - Design it", "architect", "Design it", 60_000),
        ("**senior-reviewer** - Review the code", "senior-reviewer", "Review the code", 60_000),
        ("**senior-reviewer**: Review the code", "senior-reviewer", "Review the code", 60_000),
        ("**senior-reviewer:** Review the code", "senior-reviewer", "Review the code", 60_000),
        ("`senior-reviewer` \u2014 Review the code", "senior-reviewer", "Review the code", 60_000),
        ("@senior-reviewer: Review the code", "senior-reviewer", "Review the code", 60_000),
        ("Review the code", "general-assistant", "Review the code", 60_000),
        ("**Review** - the code", "general-assistant", "Review - the code", 60_000),
        ("Review **all** the `code`.", "general-assistant", "Review all the code", 60_000),
        ("Review [the code](https://example.org/x)", "general-assistant", "Review the code", 60_000),
        ("Review (SQL, XSS) the code (30 seconds)", "general-assistant", "Review (SQL, XSS) the code", 30_000),
        ("Review the code [1 hour]", "general-assistant", "Review the code", 3_600_000),
        ("Review the code - 1.5 h", "general-assistant", "Review the code", 5_400_000),
        ("Review the code, 90s", "general-assistant", "Review the code", 90_000),
        ("Review the code 2 hours", "general-assistant", "Review the code", 7_200_000),
        ("Review the code (0-20 mins)", "general-assistant", "Review the code", 1_200_000),
        ("Review the code (10-15 min)", "general-assistant", "Review the code", 900_000),
        ("Review the code (~5 minutes, carefully)", "general-assistant", "Review the code (carefully)", 300_000),
        ("Wait for 10 minutes", "general-assistant", "Wait for 10 minutes", 60_000),
        ("Review the code, after lunch", "general-assistant", "Review the code, after lunch", 60_000),
        (
            "senior-reviewer - " + "word " * 120,
            "general-assistant",
            "senior-reviewer - " + ("word " * 120).strip(),
            60_000,
        ),
        ("Search the log (last 24 hours)", "general-assistant", "Search the log (last 24 hours)", 60_000),
        (
            "**Review**: Use the security-auditor agent",
            "security-auditor",
            "Review: Use the security-auditor agent",
            60_000,
        ),
        ("Ask (subagent_type=task.role)", "general-assistant", "Ask (subagent_type=task.role)", 60_000),
        ("Ask for review (requires 2 reviewers)", "general-assistant", "Ask for review (requires 2 reviewers)", 60_000),
    ],
)
def test_a_step_says_who_does_what_and_how_long(step: str, agent: str, task: str, time: int) -> None:
    node = only(step)
    assert (node["agentId"], node["task"], node["estimatedTime"]) == (agent, task, time)


@pytest.mark.parametrize(
    ("words", "numbers"),
    [
        ("(depends on 1)", [1]),
        ("(depends on step 1)", [1]),
        ("(Depends on: Step 2)", [2]),
        ("(depends on steps 2,3)", [2, 3]),
        ("(depends on steps 1, 2 and 3)", [1, 2, 3]),
        ("(depends on steps 1-3)", [1, 2, 3]),
        ("(depends on 1, 10 minutes)", [1]),
        ("(10 minutes, depends on 1 & 3)", [1, 3]),
        ("- depends on 1, 10 minutes", [1]),
        ("depends on 1", [1]),
        ("(after step 2)", [2]),
        ("(requires #3)", [3]),
        ("(after 1)", [1]),
        ("(depends on first-thing)", [1]),
        ("(depends on Second thing)", [2]),
        ("(depends on tester)", [3]),
        ("(no dependencies)", []),
        ("(independent)", []),
    ],
)
def test_dependencies_are_read_in_all_their_forms(words: str, numbers: list[int]) -> None:
    text = f"# /x\n\nText.\n\n1. First thing\n2. Second thing\n3. **tester** - Third thing\n4. Last thing {words}\n"
    converted = convert(text, stem="x")
    names = ["first-thing", "second-thing", "third-thing"]
    assert nodes(converted)["last-thing"]["dependencies"] == [names[number - 1] for number in numbers]
    assert not [problem for problem in converted.problems if problem.severity is Severity.ERROR]


def test_headings_with_steps_are_phases_and_headings_without_are_not() -> None:
    text = (
        "# /ship\n\nShip **it**\nsafely.\n\n## Overview\nWords.\n\n## Phase 1: Checks (0-20 mins)\n1. Lint\n2. Test\n\n"
        "### Stage II - Release (20-45 mins)\n1. Build (5 min)\n\n## Notes\n- none\n"
    )
    converted = convert(text, stem="x")
    assert converted.definition["description"] == "Ship it safely."
    assert [(phase["id"], phase["name"]) for phase in converted.definition["phases"]] == [
        ("checks", "Checks"),
        ("release", "Release"),
    ]
    assert converted.definition["phases"][0]["parallel"] is False
    assert {node["estimatedTime"] for node in converted.definition["phases"][0]["agents"]} == {600_000}
    assert codes(converted).count("V1_TIME_SHARED") == 2


def test_the_time_of_a_clock_range_is_its_length() -> None:
    text = "# /x\n\nText.\n\n## A (0-20 mins)\n1. One\n\n## B (20-45 mins)\n1. Two\n\n## C (10-15 mins)\n1. Three\n"
    assert [node["estimatedTime"] for node in nodes(convert(text, stem="x")).values()] == [
        1_200_000,
        1_500_000,
        900_000,
    ]


def test_ranges_that_do_not_begin_at_0_are_no_clock() -> None:
    text = "# /x\n\nText.\n\n## Steps\n\n1. Lint it (5-10 mins)\n2. Test it (2-15 mins)\n3. Send it (10-30 mins)\n"
    assert [node["estimatedTime"] for node in nodes(convert(text, stem="x")).values()] == [600_000, 900_000, 1_800_000]


def test_steps_go_on_with_the_clock_of_their_heading_or_of_the_steps_before() -> None:
    below = (
        "# /x\n\nText.\n\n## A (0-20 mins)\n1. One\n\n## B (20-45 mins)\n1. Two (20-30 mins)\n2. Three (30-45 mins)\n"
    )
    assert [node["estimatedTime"] for node in nodes(convert(below, stem="x")).values()][1:] == [600_000, 900_000]
    across = "# /x\n\nText.\n\n## A\n1. One (0-5 mins)\n2. Two\n\n## B\n1. Three (5-9 mins)\n"
    assert [node["estimatedTime"] for node in nodes(convert(across, stem="x")).values()] == [300_000, 60_000, 240_000]


def test_a_plain_list_without_a_word_on_order_runs_in_its_order() -> None:
    converted = convert("Ships.\n\n1. Lint\n2. Test\n3. Build\n", stem="Ship It")
    assert converted.definition["name"] == "/ship-it"
    (phase,) = converted.definition["phases"]
    assert (phase["id"], phase["parallel"]) == ("default", False)
    assert [node["dependencies"] for node in phase["agents"]] == [[], ["lint"], ["test"]]
    assert "V1_SEQUENTIAL" in codes(converted)


def test_a_heading_that_says_sequential_is_not_parallel() -> None:
    text = "# /x\n\nText.\n\n## Sequential part\n1. One\n2. Two\n"
    assert convert(text, stem="x").definition["phases"][0]["parallel"] is False


def test_steps_that_need_only_some_of_those_before_do_not_wait_for_the_rest() -> None:
    text = (
        "# /x\n\nText.\n\n## Work\n1. Do A\n2. Do B (no dependencies)\n3. Do C (depends on 1)\n4. Do D (depends on 2)\n"
    )
    converted = convert(text, stem="x")
    assert [phase.get("barrier", True) for phase in converted.definition["phases"]] == [True, False]
    assert [phase["name"] for phase in converted.definition["phases"]] == [
        "Work: Parallel Tasks",
        "Work: Parallel Tasks",
    ]
    assert [phase["id"] for phase in converted.definition["phases"]] == ["work-parallel-tasks", "work-parallel-tasks-2"]
    assert "V1_NO_BARRIER" in codes(converted)


def test_numbers_mean_steps_of_the_same_heading_before_those_of_others() -> None:
    second = "1. B one\n2. B two (depends on 1)\n3. B three (depends on 2)\n"
    text = f"# /x\n\nText.\n\n## A\n1. A one\n2. A two\n\n## B\n{second}"
    found = nodes(convert(text, stem="x"))
    assert found["b-two"]["dependencies"] == ["b-one"]
    assert found["b-three"]["dependencies"] == ["b-two"]


def test_numbers_that_go_on_over_headings_mean_the_earlier_step() -> None:
    text = "# /x\n\nText.\n\n## A\n1. A one\n\n## B\n2. B one (depends on 1)\n"
    assert nodes(convert(text, stem="x"))["b-one"]["dependencies"] == ["a-one"]


def test_lists_numbered_one_one_one_are_counted() -> None:
    text = "# /x\n\nText.\n\n1. One\n1. Two (depends on 1)\n1. Three (depends on 2)\n"
    assert nodes(convert(text, stem="x"))["three"]["dependencies"] == ["two"]


@pytest.mark.parametrize("words", ["depends on step 9", "depends on nobody-knows"])
def test_a_dependency_that_does_not_exist_is_an_error_with_the_steps_there_are(words: str) -> None:
    converted = convert(f"# /x\n\nText.\n\n1. One\n2. Two ({words})\n", stem="x")
    (problem,) = [problem for problem in converted.problems if problem.severity is Severity.ERROR]
    assert problem.code == "V1_UNKNOWN_STEP"
    assert problem.suggestion == "Known steps: 1 (one), 2 (two)."


def test_a_circle_of_steps_is_left_for_the_validator_to_name(tmp_path: Path) -> None:
    (tmp_path / "x.md").write_text(
        "# /x\n\nText.\n\n1. **claude** - One (depends on 2)\n2. **claude** - Two (depends on 1)\n"
    )
    loaded = Catalog(tmp_path).load("x.md")
    assert [problem.code for problem in loaded.errors] == ["CIRCULAR_DEPENDENCY"]


def test_what_stands_below_a_step_belongs_to_it() -> None:
    text = (
        "# /x\n\nText.\n\n1. Test all\n   - with coverage\n   - Time: 5 min\n   - Agent: test-engineer\n"
        "2. Report\n   depends on 1\n"
    )
    found = nodes(convert(text, stem="x"))
    assert found["test-all"]["task"] == "Test all: with coverage"
    assert found["test-all"]["agentId"] == "test-engineer"
    assert found["test-all"]["estimatedTime"] == 300_000
    assert found["report"]["dependencies"] == ["test-all"]


def test_ids_stay_when_a_step_is_added_elsewhere() -> None:
    before = "# /x\n\nText.\n\n1. Check A\n2. Check B\n3. \u65e5\u672c\n"
    after = "# /x\n\nText.\n\n1. Check Z\n2. Check A\n3. Check B\n4. \u65e5\u672c\n"
    assert set(nodes(convert(before, stem="x"))) < set(nodes(convert(after, stem="x")))


def test_ids_of_equal_steps_are_told_apart_by_agent_heading_and_number() -> None:
    text = "# /x\n\nText.\n\n## A\n1. Check\n2. **tester** - Check\n\n## B\n1. Check\n2. Check\n"
    assert list(nodes(convert(text, stem="x"))) == ["check", "check-tester", "check-b", "check-2"]


def test_code_blocks_and_comments_are_no_steps() -> None:
    text = "# /x\n\nText.\n\n```bash\n1. not this\n```\n<!-- 2. nor this -->\n1. Do this <!-- really -->\n<!-- open\n"
    assert list(nodes(convert(text, stem="x"))) == ["do-this"]


@pytest.mark.parametrize(
    "text",
    [
        "1. Look for `<!-- box` in the list\n2. Count the boxes\n3. Write the number above `-->`\n",
        "Boxes begin with\n```html\n<!-- box\n```\n\n1. Look for one\n2. Count the boxes\n\nThey end with `-->`.\n",
        "1. Keep `a`, `b` and `<!-- c -->`\n2. Count the boxes\n",
    ],
)
def test_a_comment_mark_in_code_hides_nothing(text: str) -> None:
    found = convert(f"# /boxes\n\nCounts boxes. <!-- not this -->\n\n{text}", stem="boxes")
    assert "count-the-boxes" in nodes(found)
    said = json.dumps(found.definition)
    assert all(mark in said for mark in ("<!--", "-->") if mark in text)
    assert "not this" not in said


def test_the_description_comes_from_the_text_the_frontmatter_or_the_title() -> None:
    assert (
        convert("---\ndescription: From the front\n---\n# /x\n\nA paragraph.\n\n1. One\n", stem="x").definition[
            "description"
        ]
        == "From the front"
    )
    titled = convert("# Some title\n\n1. One\n", stem="x")
    assert titled.definition["description"] == "Some title"
    assert "V1_NO_DESCRIPTION" in codes(titled)
    assert convert("1. One\n", stem="x").definition["description"] == "/x"


@pytest.mark.parametrize(
    ("written", "read"),
    [
        (">-\n  Ship it,\n  and say so.\nmodel: opus", "Ship it, and say so."),
        ("|\n  Ship it.\n\n  Say so.", "Ship it. Say so."),
        ("Ship it,\n  and say so.", "Ship it, and say so."),
        ("'Ship what''s done'", "Ship what's done"),
        ('"Ship \\"it\\""', 'Ship "it"'),
        ("Ship it for the users'", "Ship it for the users'"),
        ("Ship it: and say so\nmodel: opus", "Ship it: and say so"),
        ("[Ship, it]", "A paragraph."),
        ("Ship it\ndescription: Twice", "Ship it"),
    ],
)
def test_the_description_of_the_frontmatter_is_read_as_yaml_where_it_is_yaml(written: str, read: str) -> None:
    converted = convert(f"---\ndescription: {written}\n---\n# /x\n\nA paragraph.\n\n1. One\n", stem="x")
    assert converted.definition["description"] == read


def test_a_long_description_is_cut_between_words_and_told() -> None:
    converted = convert(f"# /x\n\n{'word ' * 100}\n\n1. One\n", stem="x")
    assert len(converted.definition["description"]) <= 200
    assert converted.definition["description"].endswith("word\u2026")
    assert "V1_DESCRIPTION_CUT" in codes(converted)


@pytest.mark.parametrize("text", ["", "Just prose.\n", "# Title\n\n- a\n- b\n"])
def test_prose_is_one_clear_error(text: str) -> None:
    with pytest.raises(InputError, match="prose without numbered steps") as caught:
        convert(text, stem="x")
    assert caught.value.code == "NOT_A_COMMAND"


def test_far_too_many_steps_are_an_error() -> None:
    with pytest.raises(InputError) as caught:
        convert("1. a\n" * 3000, stem="x")
    assert caught.value.code == "FILE_TOO_LARGE"


@pytest.mark.parametrize("name", ["allowed-tools: Bash", "argument-hint: x", "model: opus", "description: Ships"])
def test_a_prompt_of_claude_code_is_no_command_unless_something_in_it_says_so(name: str) -> None:
    front = f"---\n{name}\n---\n"
    with pytest.raises(InputError, match="prompt of Claude Code") as caught:
        convert(f"{front}1. Look\n", stem="x")
    assert caught.value.code == "NOT_A_COMMAND"
    for signed in ("1. Look (5 min)\n", "# /look\n\n1. Look\n", "1. Look\n2. See (depends on 1)\n", "1. a-b - Look\n"):
        assert convert(front + signed, stem="x").sign


def test_a_plain_file_that_is_named_is_converted_with_a_warning() -> None:
    converted = convert("1. Look\n2. Tell\n", stem="x")
    assert not converted.sign
    assert "V1_NO_SIGN" in codes(converted)


def test_a_guess_needs_strong_evidence() -> None:
    packaged = Agent(id="security-scan", source=AgentSource.PACKAGED, description="Review the security")
    own = Agent(id="security-specialist")
    program = Agent(id="security-report", kind=AgentKind.PROCESS)
    builtin = Agent(id="statusline-setup", source=AgentSource.BUILTIN)
    everybody = [packaged, own, program, builtin]
    assert guess_agent("Let the security specialist review it", everybody) == "security-specialist"
    assert guess_agent("Scan the security of the code", everybody) == "security-scan"
    assert guess_agent("Review the security", everybody) is None
    assert guess_agent("Write the security report", everybody) is None
    assert guess_agent("Order the tasks: setup of the statusline before everything else", everybody) is None
    assert guess_agent("Bake bread", everybody) is None


def test_levels_are_the_longest_chains() -> None:
    after = {"a": [], "b": ["a"], "c": ["b", "a", "elsewhere"], "d": ["a"], "e": ["f"], "f": ["e"]}
    assert levels(list(after), after) == [["a"], ["b", "d"], ["c"], ["e", "f"]]
    assert needs_all_before([["a"], ["b", "d"], ["c"]], after) == [True, True, False]


def test_phases_are_named_after_what_is_done_in_them() -> None:
    ranks = [
        ["Analyze code"],
        ["Audit A", "Audit B"],
        ["Fix a", "Fix b"],
        ["Summarize x", "Summarize y"],
        ["Lint", "Test"],
        ["Write the final report for the team"],
        ["Frobnicate all the things"],
        ["\u65e5\u672c"],
        ["\u65e5", "\u672c"],
        ["Analyze x", "Analyze y"],
    ]
    assert phase_names("", ranks) == [
        "Analysis",
        "Parallel Audits",
        "Parallel Fixes",
        "Parallel Summaries",
        "Parallel Tasks",
        "Report",
        "Frobnicate all the",
        "Step",
        "Parallel Tasks",
        "Parallel Analyses",
    ]
    assert phase_names("", [["Anything"]]) == ["Default"]


def test_of_very_many_details_the_late_ones_say_nothing_of_the_step() -> None:
    details = "".join(f"   - detail {number}\n" for number in range(60)) + "   - depends on 2\n"
    converted = convert(f"# /x\n\nText.\n\n1. One\n{details}2. Two\n", stem="x")
    first, _ = nodes(converted).values()
    assert first["dependencies"] == []
    assert converted.definition["globalContext"]["initial"]["one-details"].endswith("- detail 59\n- depends on 2")


def test_a_dependency_named_twice_counts_once() -> None:
    found = nodes(convert("# /x\n\nText.\n\n1. One\n2. Two (depends on 1) (depends on 1)\n", stem="x"))
    assert found["two"]["dependencies"] == ["one"]


def test_ids_are_short_and_phases_begin_with_a_letter() -> None:
    text = f"# /x\n\nText.\n\n## 3rd part\n1. {'extraordinarily ' * 8}long\n2. {'x' * 200}\n"
    converted = convert(text, stem="x")
    assert max(map(len, nodes(converted))) <= 60
    assert converted.definition["phases"][0]["id"] == "phase-3rd-part"


@pytest.mark.parametrize(
    ("step", "task"),
    [
        ("Call `mcp__oven__heat_up` once", "Call mcp__oven__heat_up once"),
        ("Call mcp__oven__heat_up once", "Call mcp__oven__heat_up once"),
        ("Check `**/*.bak` and `_old_`", "Check **/*.bak and _old_"),
        ("Check __all__ of _them_ and *that*", "Check all of them and that"),
        ("Close the `mark **now**", "Close the mark now"),
        ("Stage it with `git add .`.", "Stage it with git add ."),
        ("**Stage it:**", "Stage it"),
    ],
)
def test_what_is_marked_as_code_and_what_is_inside_of_words_stays_as_it_is_written(step: str, task: str) -> None:
    assert only(step)["task"] == task


def test_a_program_that_a_step_begins_with_is_no_agent() -> None:
    node = only("`bake-it` makes the bread")
    assert (node["agentId"], node["task"]) == ("general-assistant", "bake-it makes the bread")


@pytest.mark.parametrize("bracket", ["(or at least 20 minutes)", "(20 minutes per loaf)", "(wait 20 minutes)"])
def test_a_time_that_is_part_of_a_phrase_is_not_how_long_the_step_takes(bracket: str) -> None:
    converted = convert(f"# Bake\n\nText.\n\n1. Heat the oven {bracket}\n2. Bake it\n", stem="x")
    (node, _) = nodes(converted).values()
    assert (node["estimatedTime"], node["task"]) == (60_000, f"Heat the oven {bracket}")
    assert not converted.sign


def test_the_time_of_a_heading_leaves_no_marks_behind_and_is_a_sign_unless_the_file_is_a_prompt() -> None:
    steps = "\n\n1. Mix it\n2. Check it\n"
    timed = convert(f"# Bake\n\nText.\n\n## Phase 1: Bread (by hand \u2014 ~4 minutes){steps}", stem="x")
    (phase,) = timed.definition["phases"]
    assert (timed.sign, phase["name"]) == (True, "Bread (by hand)")
    assert [node["estimatedTime"] for node in phase["agents"]] == [120_000, 120_000]
    with pytest.raises(InputError, match="is a prompt of Claude Code"):
        convert(f"---\nmodel: opus\n---\n# Bake\n\n## Phase 1: Bread (4 minutes){steps}", stem="x")


def test_a_time_inside_of_what_a_heading_says_stays_there() -> None:
    heading = "Wait 5 minutes for the oven"
    converted = convert(
        f"# Bake\n\nText.\n\n## Phase 1: Dough\n\nx\n\n## Phase 2: {heading}\n\n1. Mix it\n2. Check it\n", stem="x"
    )
    assert converted.definition["phases"][1]["name"] == heading


def test_an_agent_that_is_deployed_by_name_does_the_step() -> None:
    assert only("Deploy the bread-maker sub-agent with care")["agentId"] == "bread-maker"


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("Read @docs/rules.md.", "@docs/rules.md (line 3)"),
        ("Read @.claude/rules.md, then", "@.claude/rules.md (line 3)"),
        ("Read @~/notes/a.b.md", "@~/notes/a.b.md (line 3)"),
        ("Read @../rules.md", "@../rules.md (line 3)"),
    ],
)
def test_a_file_that_is_not_read_in_is_named_without_the_sentence_around_it(text: str, named: str) -> None:
    (problem,) = [
        one
        for one in convert(f"# /x\n\n{text}\n\n1. Look\n2. Send\n", stem="x").problems
        if one.code == "V1_NOT_CARRIED"
    ]
    assert problem.message.startswith(f"{named}: is not inserted beforehand")
