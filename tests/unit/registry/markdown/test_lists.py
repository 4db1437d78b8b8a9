"""Which headings and lists of a markdown file are steps, and that those that are not are named with the reason."""

from __future__ import annotations

from collections import Counter

import pytest

from engine.errors import InputError
from engine.validation import Severity
from registry.markdown import blocks
from registry.markdown.blocks import read_document
from registry.markdown.convert import Converted, convert
from registry.markdown.lists import is_passed_over


def tasks(converted: Converted) -> list[str]:
    return [node["task"] for phase in converted.definition["phases"] for node in phase["agents"]]


def told(converted: Converted, code: str) -> list[str]:
    return [problem.message for problem in converted.problems if problem.code == code]


def refusal(text: str) -> str:
    with pytest.raises(InputError) as caught:
        convert(text, stem="x")
    assert caught.value.code == "NOT_A_COMMAND"
    return caught.value.message


STEPS = "# Bake\n\nText.\n\n## Steps\n\n1. Pack it\n2. Send it\n\n"


@pytest.mark.parametrize(
    ("heading", "passed_over"),
    [
        ("Rules", True),
        ("Implementation guidelines", True),
        ("Workflow examples", True),
        ("House rules (read in each phase)", True),
        ("Examples of a process", True),
        ("Release strategies", True),
        ("⚠️ Important", True),
        ("Review criteria", True),
        ("Rules (phases)", True),
        ("Baking: rules", True),
        ("Display format", True),
        ("Workflow", False),
        ("Output workflow", False),
        ("Steps for the output", False),
        ("Usage instructions", False),
        ("Gather requirements", False),
        ("Define the output format", False),
        ("Everything else", False),
    ],
)
def test_what_a_heading_is_about_is_its_last_noun(heading: str, passed_over: bool) -> None:  # noqa: FBT001
    assert is_passed_over(heading) is passed_over


def test_numbered_headings_that_name_things_are_no_steps() -> None:
    kinds = "### 1. Cold storage\nx\n\n### 2. Warm storage\ny\n"
    message = refusal(f"# Storage\n\nText.\n\n## Places\n\n{kinds}")
    assert "the numbered headings from line 7 on name things, not actions" in message
    assert 'from line 7 on stand under "Storage areas"' in refusal(f"# S\n\nText.\n\n## Storage areas\n\n{kinds}")
    shipped = convert(f"# S\n\nText.\n\n## Steps\n\n1. Pack the box\n2. Send the box\n\n## Places\n\n{kinds}", stem="x")
    assert tasks(shipped) == ["Pack the box", "Send the box"]
    assert told(shipped, "V1_LIST_PASSED_OVER") == [
        "Numbered headings are not read as steps: they name things, not actions"
    ]


def test_what_numbered_headings_name_may_be_lost_steps() -> None:
    kinds = "".join(f"### {one}. Cold storage\nx\n\n" for one in (1, 2, 3))
    both = convert(f"# S\n\nText.\n\n## Steps\n\n1. Pack the box\n2. Send the box\n\n## Places\n\n{kinds}", stem="x")
    (lost,) = told(both, "V1_STEPS_LOST")
    assert lost.startswith("3 items that may be steps reach no task, and only 2 do")


def test_one_numbered_heading_is_a_step_where_it_says_so() -> None:
    steps = "1. Pack the box\n2. Send the box\n"
    assert tasks(convert(f"# /s\n\nText.\n\n## 1. Open the shop\n\n{steps}", stem="x")) == [
        "Pack the box",
        "Send the box",
    ]
    worded = convert("# /s\n\nText.\n\n## Step 1: Open the shop\n\nWith the key.\n", stem="x")
    assert tasks(worded) == ["Open the shop: With the key"]


def test_a_step_is_no_heading_above_what_is_below_it() -> None:
    below = "### Look\n\n1. Pack the box\n2. Send the box\n"
    text = f"# /s\n\nText.\n\n## Phase 1: Output format\n\n{below}\n## Phase 2: Close the shop\n\nx\n"
    assert tasks(convert(text, stem="x"))[:2] == ["Pack the box", "Send the box"]


@pytest.mark.parametrize(
    "text",
    [
        "## Places\n\n### 1. Find the cold store\nx\n\n### 2. Find the warm store\ny\n",
        "## Work plan\n\n### 1. Cold store\nx\n\n### 2. Warm store\ny\n",
        "## Places\n\n### Step 1: Cold store\nx\n\n### Step 2: Warm store\ny\n",
        "## Places\n\n### 1. Cold store (5 min)\nx\n\n### 2. Warm store (5 min)\ny\n",
        "## 1. Cold store\nx\n\n## 2. Warm store\ny\n",
        "# Places\n\n## 1. Cold store\nx\n\n## 2. Warm store\ny\n",
        "## Step 1: Store\n\n### 1. Cold store\nx\n\n### 2. Warm store\ny\n",
    ],
)
def test_numbered_headings_are_steps_where_they_or_the_heading_above_say_so(text: str) -> None:
    assert len(tasks(convert(f"# Storage\n\nText.\n\n{text}", stem="x"))) == 2


def test_numbered_headings_of_a_command_with_its_name_are_steps_whatever_they_say() -> None:
    text = "# {}\n\nText.\n\n## Places\n\n### 1. Cold store\nx\n\n### 2. Warm store\ny\n"
    assert len(tasks(convert(text.format("/storage"), stem="x"))) == 2
    assert "name things, not actions" in refusal(text.format("Storage"))


def test_one_numbered_heading_that_is_no_step_is_not_worth_a_word() -> None:
    converted = convert(f"{STEPS}## Places\n\n### 1. Cold store\nx\n", stem="x")
    assert told(converted, "V1_LIST_PASSED_OVER") == []


def test_numbered_headings_for_some_cases_are_no_steps_and_lost_and_those_of_other_things_are_not() -> None:
    headings = "### 1. Buy it\nx\n\n### 2. Warm it\ny\n\n### 3. Eat it\nz\n"
    cases = convert(f"{STEPS}## If the oven is broken\n\n{headings}", stem="x")
    (lost,) = told(cases, "V1_STEPS_LOST")
    assert lost.startswith(
        "3 items that may be steps reach no task, and only 2 do: the numbered headings from line 12 on are for"
    )
    rules = convert(f"{STEPS}## Rules\n\n{headings}", stem="x")
    assert tasks(rules) == tasks(cases) == ["Pack it", "Send it"]
    assert told(rules, "V1_STEPS_LOST") == []


def test_a_phase_between_two_others_is_a_phase() -> None:
    text = "# Bake\n\nText.\n\n## Phase 1: Mix\nAll.\n\n## Phase 1.5: Rest\nAn hour.\n\n## Phase 2: Heat\nHot.\n"
    names = [phase["name"] for phase in convert(text, stem="x").definition["phases"]]
    assert names == ["Mix", "Rest", "Heat"]


@pytest.mark.parametrize("line", ["**Phase 2: Heat**", "Then do this:", "**Then do this:**"])
def test_a_list_that_goes_on_right_below_a_line_that_announces_it_is_a_list(line: str) -> None:
    text = (
        "# Bake\n\nText.\n\n**Phase 1: Mix**\n1. Fetch the code\n2. Add tests\n\n"
        f"{line}\n3. Build the image\n4. Push it\n"
    )
    assert tasks(convert(text, stem="x")) == ["Fetch the code", "Add tests", "Build the image", "Push it"]


def test_a_number_at_the_beginning_of_a_line_of_prose_begins_no_list() -> None:
    document = read_document("# Bake\n\nOvens have been made since the year\n1990. They are hot.\n")
    assert [block.paragraph for section in document.sections for block in section.blocks] == [True]


def test_a_block_of_code_around_others_hides_no_step_behind_it() -> None:
    text = (
        "# Bake\n\nText.\n\n## Step 1: Mix\n\n```\nA page:\n\n```bash\nmix\n```\n```\n\n"
        "## Step 2: Heat\n\nHot.\n\n```\n180\n```\n\n## Step 3: Serve\n\nAll.\n"
    )
    assert [task.partition(":")[0] for task in tasks(convert(text, stem="x"))] == ["Mix", "Heat", "Serve"]


def test_blocks_of_code_that_do_not_balance_are_read_as_the_grammar_says() -> None:
    text = "# Bake\n\nText.\n\n## Step 1: Mix\n\n```\nx\n\n```bash\nmix\n```\n\n## Step 2: Heat\n\nHot.\n"
    assert [task.partition(":")[0] for task in tasks(convert(text, stem="x"))] == ["Mix", "Heat"]


def test_blocks_of_code_that_do_not_balance_are_looked_through_once(monkeypatch: pytest.MonkeyPatch) -> None:
    looked = Counter[int]()
    line = blocks._line

    def counted(state: object, number: int) -> str:
        looked[size] += 1
        return line(state, number)

    monkeypatch.setattr(blocks, "_line", counted)
    for size in (100, 200):
        read_document("```text\n```bash\n```bash\n```\n" * size)
    assert looked[200] < 2.2 * looked[100]


@pytest.mark.parametrize(
    "step", ["Write a page (optional)", "Write a page (if asked)", "**Write a page (only with `--page`)**:"]
)
def test_a_step_that_brackets_limit_stays_a_step_and_is_told(step: str) -> None:
    converted = convert(f"# Bake\n\nText.\n\n## Steps\n\n1. Build it\n2. {step}\n3. Push it\n", stem="x")
    assert len(tasks(converted)) == 3
    (message,) = told(converted, "V1_CONDITIONAL")
    assert message.endswith("is limited to some cases only; its agent decides")
    headed = convert(
        f"# Bake\n\nText.\n\n## Step 1: Mix it\nA\n\n## Step 2: {step}\nB\n\n## Step 3: Heat\nC\n", stem="x"
    )
    assert len(tasks(headed)) == 3
    assert len(told(headed, "V1_CONDITIONAL")) == 1


@pytest.mark.parametrize(
    "heading", ["No arguments: list all", "Without flags", "Name given: that one", "URL is missing"]
)
def test_headings_for_what_was_given_are_handed_to_the_step_before(heading: str) -> None:
    text = f"# Bake\n\nText.\n\n## Step 1: Look\nA\n\n## Step 2: {heading}\nB\n\n## Step 3: Heat\nC\n"
    converted = convert(text, stem="x")
    assert len(tasks(converted)) == 2
    assert "it is attached to the step before it" in told(converted, "V1_CONDITIONAL")[0]


def test_what_is_done_in_some_cases_before_the_first_step_is_done_first_in_that_step() -> None:
    steps = "1. If it is frozen, thaw it\n2. Mix it\n\n   ```\n   spoon\n   ```\n3. Heat it\n"
    converted = convert(f"# Bake\n\nText.\n\n## Steps\n\n{steps}", stem="x")
    assert "it is attached to the step after it, to do first" in told(converted, "V1_CONDITIONAL")[0]
    assert tasks(converted) == ["Mix it", "Heat it"]
    given = converted.definition["globalContext"]["initial"]
    assert given == {"mix-it-details": "Before this:\nIf it is frozen, thaw it\n```\nspoon\n```"}


@pytest.mark.parametrize("lead_in", ["When the user runs this command:", "When invoked:", "When you are called:"])
def test_whenever_the_command_runs_is_no_condition(lead_in: str) -> None:
    text = f"# Bake\n\nText.\n\n## Work\n\n{lead_in}\n\n1. Build it\n2. Push it\n"
    assert tasks(convert(text, stem="x")) == ["Build it", "Push it"]
    begun = f"# Bake\n\nText.\n\n## Steps\n\n1. {lead_in.rstrip(':')}, build it\n2. Push it\n3. Tag it\n"
    assert told(convert(begun, stem="x"), "V1_CONDITIONAL") == []
    other = text.replace(lead_in, "When the oven is broken:")
    assert "is for some cases only" in refusal(other)


def test_the_words_before_a_list_decide_only_where_its_items_say_no_action() -> None:
    text = "# Bake\n\nText.\n\n## Your task\n\nSort the breads based on their sections:\n\n1. {}\n2. {}\n"
    assert tasks(convert(text.format("Ask for the bread", "Split it"), stem="x")) == ["Ask for the bread", "Split it"]
    things = text.format("The crust of it, dark", "The crumb of it, light")
    assert 'is announced by "' in refusal(things)
    asked = things.replace("Sort the breads based on their sections", "Report with the following steps")
    assert tasks(convert(asked, stem="x")) == ["The crust of it, dark", "The crumb of it, light"]


MODES = """# Bake

Text.

## Setup

1. Find the branch
{extra}
## QUICK MODE (`--quick`)

1. Fetch it
2. Check it

## FULL MODE (default)

1. Build all
2. Test all
"""


def test_steps_of_modes_of_which_a_run_takes_one_are_no_order_and_most_of_them_lost_is_an_error() -> None:
    converted = convert(MODES.format(extra=""), stem="x")
    assert tasks(converted) == ["Find the branch"]
    (error,) = [problem for problem in converted.problems if problem.severity is Severity.ERROR]
    assert error.code == "V1_STEPS_LOST"
    assert error.place == "11:1"
    assert error.message.startswith(
        "4 items that may be steps reach no task, and only 1 do: the list in line 11 is done in some"
    )
    fewer = convert(MODES.format(extra="2. Read it\n3. Fix it\n4. Log it\n"), stem="x")
    assert [problem.code for problem in fewer.problems if problem.severity is Severity.ERROR] == []


def test_numbered_headings_of_modes_are_no_order_either() -> None:
    text = (
        "# Bake\n\nText.\n\n## Quick mode\n\n**Step 1: Buy**\nA\n\n**Step 2: Warm**\nB\n\n"
        "## Full mode\n\n**Step 1: Mix**\nC\n\n**Step 2: Heat**\nD\n"
    )
    message = refusal(text)
    assert 'the numbered headings from line 7 on are for some cases only: "Quick mode"' in message
    assert 'the numbered headings from line 15 on are for some cases only: "Full mode"' in message


def test_modes_behind_a_sign_are_modes() -> None:
    text = "# Bake\n\n## 🚀 Quick mode\n\n1. Fetch it\n2. Check it\n\n## ⚡ Full mode\n\n1. Build all\n2. Test all\n"
    assert "a command cannot be made from alternatives" in refusal(text)


def test_one_heading_of_a_mode_alone_is_no_alternative() -> None:
    assert tasks(convert("# Bake\n\nText.\n\n## Plan mode\n\n1. Build it\n2. Push it\n", stem="x")) == [
        "Build it",
        "Push it",
    ]


def test_a_list_that_begins_again_under_a_label_of_its_own_is_no_part_of_a_phase() -> None:
    text = "# Bake\n\nText.\n\n## Phase 1: Mix\n\n1. Build it\n2. Push it\n\n**Afterwards:**\n\n1. Clean the folder\n"
    converted = convert(text, stem="x")
    assert tasks(converted) == ["Build it", "Push it"]
    assert 'begins again under "Afterwards"' in told(converted, "V1_LIST_PASSED_OVER")[0]
    assert told(converted, "V1_STEPS_LOST") == []
    assert len(told(convert(f"{text}2. Tag it\n3. Sign it\n", stem="x"), "V1_STEPS_LOST")) == 1


def test_a_list_under_a_bold_label_of_rules_is_no_list_of_steps() -> None:
    text = (
        "# Bake\n\nText.\n\n## Work\n\n1. Build it\n2. Push it\n\n"
        "**Rules:**\n\nAs ever.\n\n1. Wear gloves\n2. Test often\n"
    )
    converted = convert(text, stem="x")
    assert tasks(converted) == ["Build it", "Push it"]
    assert 'stands under "Rules"' in told(converted, "V1_LIST_PASSED_OVER")[0]


def test_lists_beside_numbered_headings_are_named_with_the_reason() -> None:
    text = (
        "# Bake\n\nText.\n\n## Step 1: Mix\nA\n\n## Step 2: Heat\nB\n\n"
        "## Rules\n\n1. Wear gloves\n2. Test\n\n## On failure\n\n1. Stop\n2. Ask\n\n## More\n\n1. Tag it\n2. Push it\n"
    )
    converted = convert(text, stem="x")
    assert told(converted, "V1_LIST_PASSED_OVER") == [
        'A numbered list is not read as steps: it stands under "Rules"',
        'A numbered list is not read as steps: it is done in some cases only: "On failure"',
        "A numbered list is not read as steps: it is not part of the numbered headings",
    ]
    assert told(converted, "V1_STEPS_LOST") == [
        (
            "4 items that may be steps reach no task, and only 2 do: "
            'the list in line 18 is done in some cases only: "On failure"; '
            "the list in line 23 is not part of the numbered headings"
        )
    ]


def test_a_list_of_steps_without_numbers_is_named_in_the_refusal() -> None:
    text = "# Bake\n\n## {}\n\n- Build it\n- Push it\n"
    assert "the list in line 5 has no numbers" in refusal(text.format("Steps"))
    assert "has no numbers" not in refusal(text.format("Workflow examples"))


def test_a_list_of_nothing_but_cases_is_named_in_the_refusal() -> None:
    text = "# Bake\n\nText.\n\n## Steps\n\n1. If it is dark, light it\n2. If it is cold, heat it\n"
    assert refusal(text).endswith("not a v1 command (the list in line 7 has only steps for some cases)")


def test_a_prompt_of_claude_code_is_refused_as_one_with_or_without_steps() -> None:
    for steps in ("", "1. Build it\n2. Push it\n"):
        assert "is a prompt of Claude Code" in refusal(f"---\ndescription: Bake\n---\n# Bake\n\nText.\n\n{steps}")


TWO_LISTS = (
    "{}\n\n## {}\n\n1. Der Ofen ist hei\u00df und das Blech liegt auf der Platte\n2. Die Form ist nicht nass\n\n"
)


def test_a_file_in_another_language_is_refused_since_its_words_tell_nothing() -> None:
    german = "# Backen\n\n" + "".join(
        TWO_LISTS.format("Das ist f\u00fcr die K\u00fcche.", one) for one in ("Regeln", "Ablauf")
    )
    message = refusal(german)
    assert "is not in English, and only English words distinguish steps from other" in message
    assert "(lines 7, 14)" in message
    headings = "".join(f"## {one}. Der Teig und die Form\n\nDas ist nicht alles.\n\n" for one in (1, 2))
    assert "is not in English" in refusal(f"# Backen\n\n{headings}")
    items = "1. \u041f\u0435\u0447\u044c\n2. \u0415\u0449\u0435\n"
    russian = f"# /bake\n\n## A\n\n{items}\n## B\n\n{items}"
    assert "is not in English" in refusal(russian)


def test_in_another_language_what_needs_no_words_is_a_step() -> None:
    only = TWO_LISTS.format("Das ist f\u00fcr die K\u00fcche.", "Ablauf")
    assert "is not in English" in refusal(f"# /backen\n\n{only}")
    agents = "1. baker-one - Der Teig und die Form\n2. baker-two - Das Blech ist nicht nass\n\n"
    told_by_agents = convert(f"# Backen\n\n{only}## Dann\n\n{agents}", stem="x")
    assert tasks(told_by_agents) == ["Der Teig und die Form", "Das Blech ist nicht nass"]
    (passed,) = told(told_by_agents, "V1_LIST_PASSED_OVER")
    assert "it is not in English" in passed
    phases = "".join(f"## Phase {one}: Der Teig und das Blech\n\nDas ist nicht alles.\n\n" for one in (1, 2))
    assert len(tasks(convert(f"# Backen\n\n{phases}", stem="x"))) == 2


def test_names_of_another_language_do_not_make_a_text_foreign() -> None:
    names = "1. Pack the case for der Meister\n2. Send it to Haus und Hof\n"
    assert len(tasks(convert(f"# Pack\n\nText.\n\n## Steps\n\n{names}", stem="x"))) == 2


def test_in_a_command_with_its_name_a_list_says_no_action_only_where_no_other_one_does() -> None:
    names = "## Parts\n\n1. Cold store\n2. Warm store\n\n"
    assert tasks(convert(f"# /keep\n\nText.\n\n{names}", stem="x")) == ["Cold store", "Warm store"]
    both = convert(f"# /keep\n\nText.\n\n{names}## Work\n\n1. Open the box\n2. Send the box\n", stem="x")
    assert tasks(both) == ["Open the box", "Send the box"]
    assert told(both, "V1_LIST_PASSED_OVER") == ["A numbered list is not read as steps: it does not name actions"]


def test_what_comes_after_the_command_is_no_step() -> None:
    after = "## After baking\n\n1. Clean the oven\n2. Close the door\n"
    assert 'the list in line 7 stands under "After baking"' in refusal(f"# /bake\n\nText.\n\n{after}")
    both = convert(STEPS + after, stem="x")
    assert tasks(both) == ["Pack it", "Send it"]
    assert told(both, "V1_LIST_PASSED_OVER") == ['A numbered list is not read as steps: it stands under "After baking"']


def test_a_step_of_an_agent_for_some_cases_is_a_node_that_says_so() -> None:
    text = "# Bake\n\nText.\n\n1. Open the box\n2. If it is full: use the post-office agent to send it\n"
    (_, sent) = tasks(both := convert(text, stem="x"))
    assert sent.startswith("If it is full: use")
    (limited,) = told(both, "V1_CONDITIONAL")
    assert limited.endswith("is limited to some cases only; its agent decides")


@pytest.mark.parametrize(
    ("heading", "passed_over"), [("Preconditions", True), ("Operations", True), ("Behavior", False)]
)
def test_what_has_to_hold_or_can_be_asked_for_is_no_step(heading: str, passed_over: bool) -> None:  # noqa: FBT001
    assert is_passed_over(heading) is passed_over


@pytest.mark.parametrize(
    "text",
    [
        "**1. Mix it** in the bowl\n\nWith care.\n\n**2. Heat it** at once\n",
        "**Step 1:** Mix it\nWith care.\n\n**Step 2:** Heat it\n",
        "**Step 1:** Mix it\n**Step 2:** Heat it\n",
        "Step 1: Mix it\nWith care.\nStep 2: Heat it\n",
        "Some words.\nPhase 1 - Mix it\nWith care.\n\nPhase 2 - Heat it\n",
    ],
)
def test_a_line_that_begins_with_a_number_in_bold_or_with_step_is_a_heading(text: str) -> None:
    heads = [
        one["task"].partition(":")[0]
        for phase in convert(f"# Bake\n\nText.\n\n{text}", stem="x").definition["phases"]
        for one in phase["agents"]
    ]
    assert heads == ["Mix it", "Heat it"]


def test_a_bold_start_that_is_not_numbered_is_text() -> None:
    document = read_document("# Bake\n\n**Step by step** it grows\n**Well done**\nIn step 2: nothing.\n")
    assert [section.heading for section in document.sections] == ["", ""]
    assert [block.raw for block in document.sections[1].blocks] == [
        "**Step by step** it grows\n**Well done**\nIn step 2: nothing."
    ]


def test_an_empty_item_is_no_step_and_a_list_of_nothing_else_is_no_list() -> None:
    assert tasks(convert("# Bake\n\nText.\n\n## Steps\n\n1. Pack it\n2. Send it\n3. \n", stem="x")) == [
        "Pack it",
        "Send it",
    ]
    assert "without numbered steps" in refusal("# Bake\n\nText.\n\n## Steps\n\n1. \n")
    kept = convert(f"{STEPS}Then:\n\n3.\n\n    some(code)\n", stem="x")
    assert len(tasks(kept)) == 2


def test_a_title_in_bold_with_more_below_it_is_the_task_and_the_rest_its_details() -> None:
    items = "1. **Pack it**\n   into a very large box that has been left in the hall\n2. Send\n   it\n"
    text = f"# Bake\n\nText.\n\n## Steps\n\n{items}"
    assert tasks(convert(text, stem="x")) == [
        "Pack it: into a very large box that has been left in the hall",
        "Send it",
    ]
    boxes = convert(text.replace("hall", "hall of the house behind the garden"), stem="x")
    assert tasks(boxes)[0] == "Pack it"
    assert "garden" in boxes.definition["globalContext"]["initial"]["pack-it-details"]


@pytest.mark.parametrize(
    "heading",
    [
        "Workflow summary",
        "Process overview",
        "Common issues",
        "Known problems",
        "Recap",
        "Use cases",
        "Security considerations",
    ],
)
def test_what_says_the_steps_again_and_what_can_go_wrong_is_passed_over(heading: str) -> None:
    passed = convert(f"{STEPS}## {heading}\n\n1. Pack it well\n2. Send it off\n", stem="x")
    assert tasks(passed) == ["Pack it", "Send it"]
    assert told(passed, "V1_LIST_PASSED_OVER") == [f'A numbered list is not read as steps: it stands under "{heading}"']


@pytest.mark.parametrize("lead_in", ["This will:", "The script will then:", "It should be run before:"])
def test_effects_and_occasions_are_no_steps(lead_in: str) -> None:
    listed = "1. Open the box\n2. Send the box\n"
    assert f'is announced by "{lead_in}"' in refusal(f"# Bake\n\nText.\n\n## More\n\n{lead_in}\n\n{listed}")
    assert len(tasks(convert(f"# Bake\n\nText.\n\nThis command will:\n\n{listed}", stem="x"))) == 2


def test_a_heading_says_steps_by_what_it_is_about_and_not_by_what_it_is_for() -> None:
    listed = "1. Bread in the oven\n2. Bread on the table\n"
    assert "does not name actions" in refusal(f"# Bake\n\nText.\n\n## Links with the process\n\n{listed}")
    assert len(tasks(convert(f"# Bake\n\nText.\n\n## Process with links\n\n{listed}", stem="x"))) == 2


def test_the_entries_of_a_menu_are_modes() -> None:
    entry = "## [{}] {}\n\n1. Open the {} box\n2. Send the box\n\n"
    menu = entry.format(1, "Bread", "first") + entry.format(2, "Cake", "second")
    assert 'steps for different cases only, and a command cannot be made from alternatives: "[1] Bread"' in refusal(
        f"# Bake\n\nText.\n\n{menu}"
    )


def test_a_list_of_titles_is_a_list_of_steps_where_no_list_says_actions() -> None:
    titles = "## Parts\n\n1. **Cold store**\n2. **Warm store**\n\n"
    assert tasks(convert(f"# Keep\n\nText.\n\n{titles}", stem="x")) == ["Cold store", "Warm store"]
    both = convert(f"# Keep\n\nText.\n\n{titles}## Work\n\n1. Open the box\n2. Send the box\n", stem="x")
    assert tasks(both) == ["Open the box", "Send the box"]


def test_agents_that_are_listed_without_an_action_are_no_steps_unless_a_heading_says_so() -> None:
    agents = "## Helpers\n\n- bread-maker: For bread of all kinds\n- cake-maker: For cakes\n\n"
    work = "## Work\n\n1. Open the box\n2. Send the box\n"
    assert tasks(convert(f"# Bake\n\nText.\n\n{agents}{work}", stem="x")) == ["Open the box", "Send the box"]
    assert "without numbered steps" in refusal(f"# Bake\n\nText.\n\n{agents}")
    for heading in ("Workflow", "Parallel work"):
        assert len(tasks(convert(f"# Bake\n\nText.\n\n{agents.replace('Helpers', heading)}", stem="x"))) == 2
    announced = agents.replace("Helpers\n", "Helpers\n\nAll of them in parallel:\n")
    assert len(tasks(convert(f"# Bake\n\nText.\n\n{announced}", stem="x"))) == 2
    acting = agents.replace("For bread", "Make bread").replace("For cakes", "Make cakes")
    assert len(tasks(convert(f"# Bake\n\nText.\n\n{acting}{work}", stem="x"))) == 4


@pytest.mark.parametrize(
    ("item", "limited"),
    [
        ("Send it (on Mondays only)", True),
        ("Send it (only if asked)", True),
        ("Send it (use only the small boxes)", False),
        ("Send it (the very small boxes only)", False),
        ("Send it (baker, optional)", True),
        ("Send it (baker, if asked)", True),
        ("**Send it (if asked).** It is on the table", True),
        ("Send it (optional) - by mail", True),
        ("Send it (if asked) by mail", False),
    ],
)
def test_only_says_a_case_where_it_ends_the_bracket_or_a_case_follows(item: str, limited: bool) -> None:  # noqa: FBT001
    converted = convert(f"# Bake\n\nText.\n\n## Steps\n\n1. Pack it\n2. {item}\n", stem="x")
    assert bool(told(converted, "V1_CONDITIONAL")) is limited


def test_bold_steps_below_bold_phases_are_the_steps_of_their_phase() -> None:
    dough = "**Phase 1: Dough**\n\n**Step 1.1: Mix it**\nWell.\n\n**Step 1.2: Rest it**\nLong.\n\n"
    text = f"{dough}**Phase 2: Heat**\n\n**Step 2.1: Bake it**\nHot.\n"
    found = convert(f"# Bake\n\nText.\n\n{text}", stem="x").definition["phases"]
    assert [phase["name"] for phase in found] == ["Dough", "Heat"]
    assert [node["task"] for node in found[0]["agents"]] == ["Mix it: Well", "Rest it: Long"]


def test_the_steps_of_a_phase_are_steps_whatever_its_own_name_is() -> None:
    text = "## Phase 1: Requirements\n\nTasks:\n\n1. Open the box\n2. Send the box\n\n## Phase 2: Output\n\nAll.\n"
    assert tasks(convert(f"# Bake\n\nText.\n\n{text}", stem="x"))[:2] == ["Open the box", "Send the box"]


@pytest.mark.parametrize(
    ("heading", "parallel"),
    [
        ("Bread for parallel ovens", False),
        ("Bread and parallel baking", False),
        ("Parallel baking", True),
        ("\U0001f680 Concurrent baking", True),
        ("Baking (parallel)", True),
        ("Baking, in parallel with the rest", True),
    ],
)
def test_parallel_says_how_steps_run_and_not_what_they_are_for(heading: str, parallel: bool) -> None:  # noqa: FBT001
    converted = convert(f"# Bake\n\nText.\n\n## {heading}\n\n1. Open the box\n2. Send the box\n", stem="x")
    assert [phase["parallel"] for phase in converted.definition["phases"]] == [parallel]


def test_an_action_behind_a_label_is_one_where_no_list_begins_with_any() -> None:
    labels = "1. **Impact**: Find the users\n2. **Method**: Run the tool\n3. **Plan**: Soon\n\n"
    only = convert(f"# Bake\n\nText.\n\n## Prompt\n\n{labels}", stem="x")
    assert tasks(only) == ["Impact: Find the users", "Method: Run the tool", "Plan: Soon"]
    both = convert(
        f"# Bake\n\nText.\n\n## Prompt\n\n{labels}## Work\n\n1. Open it\n2. Send it\n3. Close it\n", stem="x"
    )
    assert tasks(both) == ["Open it", "Send it", "Close it"]


def test_names_under_a_heading_of_steps_are_steps_and_so_are_titles_below_one_further_up() -> None:
    names = "1. **Oven**: the list\n2. **Table**: the box\n\n"
    assert len(tasks(convert(f"# Bake\n\nText.\n\n## Workflow\n\n{names}", stem="x"))) == 2
    below = "### Bread\n\n1. White bread\n2. Brown bread\n\n"
    assert len(tasks(convert(f"{STEPS}## Process\n\n{below}", stem="x"))) == 4
    assert len(tasks(convert(f"{STEPS}## Shelf\n\n{below}", stem="x"))) == 2


@pytest.mark.parametrize("item", ["[First thing]", "{first}", "`<first>`", "..."])
def test_placeholders_are_a_template(item: str) -> None:
    listed = f"## Steps\n\n1. {item}\n2. {item}\n3. Send it\n"
    assert "reads as a template" in refusal(f"# Bake\n\nText.\n\n{listed}")


def test_a_call_of_a_tool_without_a_fence_is_code() -> None:
    asked = "Look (well):\n\n  1. Open the box\n  2. Send the box\n\n" + "Done well. " * 20
    call = f'@Task(\n  prompt="{asked}",\n  subagent_type="box-maker"\n)\n\n'
    phases = f"## Phase 1: Look\n\n{call}## Phase 2: Tell\n\nAll.\n"
    converted = convert(f"---\nmodel: opus\n---\n# Bake\n\nText.\n\n{phases}", stem="x")
    assert tasks(converted) == ["Look", "Tell: All"]
    assert converted.definition["phases"][0]["agents"][0]["agentId"] == "box-maker"
    assert "2. Send the box" in converted.definition["globalContext"]["initial"]["look-details"]


@pytest.mark.parametrize(
    "text",
    ["Task(one\n\n1. Open the box\n2. Send the box\n", "Task(one) and so on:\n\n1. Open the box\n2. Send the box\n"],
)
def test_what_only_begins_like_a_call_is_text(text: str) -> None:
    assert tasks(convert(f"# Bake\n\nText.\n\n{text}", stem="x")) == ["Open the box", "Send the box"]


def test_a_call_ends_a_paragraph() -> None:
    document = read_document("Look:\nRead(box)\n")
    assert [block.raw for block in document.sections[0].blocks] == ["Look:", "Read(box)"]


def test_a_step_with_a_letter_behind_its_number_is_a_step() -> None:
    text = "## Step 1: Mix\n\nx\n\n## Step 1b: Rest\n\ny\n\n## Step 2\uff1aHeat\n\n### 2a. In the oven\n\nz\n"
    assert [task.partition(":")[0] for task in tasks(convert(f"# Bake\n\nText.\n\n{text}", stem="x"))] == [
        "Mix",
        "Rest",
        "Heat",
    ]


def test_a_single_step_beside_other_lists_of_its_phase_is_part_of_the_phase() -> None:
    phases = "## Phase 1: Mix\n\n- Well\n- Long\n\n## Phase 2: Bake\n\n- Hot\n\n3. Open the oven\n\n"
    assert [task.partition(":")[0] for task in tasks(convert(f"# Bake\n\nText.\n\n{phases}", stem="x"))] == [
        "Mix",
        "Bake",
    ]
    alone = phases.replace("- Hot\n\n", "")
    assert tasks(convert(f"# Bake\n\nText.\n\n{alone}", stem="x"))[-1] == "Open the oven"


def test_a_numbered_checklist_of_actions_is_a_list_of_steps() -> None:
    text = "# Bake\n\nText.\n\n## Checklist\n\n1. [ ] Open the box\n2. [x] Send the box\n"
    assert tasks(convert(text, stem="x")) == ["Open the box", "Send the box"]


def test_more_items_that_may_be_steps_than_steps_are_an_error() -> None:
    doubtful = "## Parts\n\n1. Cold store\n2. Warm store\n3. Dry store\n"
    (lost,) = told(convert(f"{STEPS}{doubtful}", stem="x"), "V1_STEPS_LOST")
    assert lost == "3 items that may be steps reach no task, and only 2 do: the list in line 12 does not name actions"


def test_a_prompt_with_alternatives_alone_is_a_prompt_without_steps() -> None:
    message = refusal("---\nmodel: opus\n---\n# Bake\n\nText.\n\n## On failure\n\n1. Open it\n2. Send it\n")
    assert "is a prompt of Claude Code without numbered steps" in message
    assert 'is done in some cases only: "On failure"' in message


NUMBERED = "## {}\n\n### 1. Open the {} box\n\nx\n\n### 2. Send the {} box\n\ny\n\n"


def test_numbered_headings_that_begin_anew_are_steps_under_headings_of_steps_only() -> None:
    one, two = NUMBERED.format("Bread", "first", "first"), NUMBERED.format("Cake", "second", "second")
    assert len(tasks(convert(f"# Bake\n\nText.\n\n{one}", stem="x"))) == 2
    message = refusal(f"# Bake\n\nText.\n\n{one}{two}")
    assert (
        "the numbered headings from line 7 on begin again under a heading that does not say that they are steps"
        in message
    )
    work = convert(f"# Bake\n\nText.\n\n{one}{two.replace('Cake', 'Workflow')}", stem="x")
    assert tasks(work) == ["Open the second box: x", "Send the second box: y"]
    assert "begin again" in told(work, "V1_LIST_PASSED_OVER")[0]
    optional = "## Option A\n\n1. Open it\n2. Send it\n"
    assert "begin again" in refusal(f"# Bake\n\nText.\n\n{one}{two}{optional}")


def test_what_comes_before_the_rest_is_no_step_where_there_is_no_rest() -> None:
    for before in (
        "Before you bake:\n\n1. Open the oven\n2. Clean it\n",
        "## Before you bake\n\n1. Open the oven\n2. Clean it\n",
    ):
        assert "comes before steps that do not exist" in refusal(f"# Bake\n\nText.\n\n{before}")
        both = convert(f"# Bake\n\nText.\n\n{before}\n## Work\n\n1. Open the box\n2. Send the box\n", stem="x")
        assert len(tasks(both)) == 4


def test_lists_without_numbers_under_a_process_are_told_and_are_an_error_where_they_are_the_greater_part() -> None:
    process = "## Process\n\n### Dough\n\n- Mix it\n- Rest it\n\n### Notes\n\n- Hot\n\n"
    numbered = "## Work\n\n### Step 1: Open\n\nx\n\n### Step 2: Send\n\n- y\n\n"
    for steps in (numbered, "## Work\n\n1. Open the box\n2. Send the box\n"):
        few = convert(f"# Bake\n\nText.\n\n{process}{steps}", stem="x")
        assert told(few, "V1_LIST_PASSED_OVER") == ["A list is not read as steps: it has no numbers"]
        assert told(few, "V1_STEPS_LOST") == []
        more = process.replace("- Rest", "- Knead it\n- Rest")
        many = convert(f"# Bake\n\nText.\n\n{more}{steps}", stem="x")
        (lost,) = told(many, "V1_STEPS_LOST")
        assert lost == "3 items that may be steps reach no task, and only 2 do: the list in line 9 has no numbers"
        found = convert(f"# Bake\n\nText.\n\n{more}## Steps\n\n1. Open the box\n2. Send the box\n", stem="x")
        assert len(told(found, "V1_LIST_PASSED_OVER")) == 1
        assert told(found, "V1_STEPS_LOST") == []


def test_a_list_without_numbers_that_holds_the_numbered_steps_is_an_introduction() -> None:
    text = "## Process\n\n- Mix it\n- Rest it\n- Bake it\n\n### Step 1: Open\n\nx\n\n### Step 2: Send\n\ny\n"
    assert told(convert(f"# Bake\n\nText.\n\n{text}", stem="x"), "V1_LIST_PASSED_OVER") == []


def test_a_list_that_is_interrupted_is_judged_as_a_whole() -> None:
    first = "1. Bread for the table\n2. Open the oven\n\n**Bread:**\n- White\n\n**Notes:**\n- Brown\n\n"
    steps = convert(f"# Bake\n\nText.\n\n{first}3. Send the box\n", stem="x")
    assert tasks(steps) == ["Bread for the table", "Open the oven", "Send the box"]
    case = "When the oven is cold:\n\n1. Open the oven\n\nSome words.\n\n2. Send the box\n"
    assert "the list in line 11 is for some cases only" in refusal(f"# Bake\n\nText.\n\n{case}")
    handed = convert(f"{STEPS}3. If asked, wrap it\n\n```\ncode\n```\n\n4. Close it\n", stem="x")
    assert tasks(handed) == ["Pack it", "Send it", "Close it"]


def test_a_list_that_begins_again_is_judged_by_itself() -> None:
    text = "## Work\n\n1. Open the oven\n2. Close the oven\n\nBut:\n\n1. Bread on the table\n2. Bread in the box\n"
    converted = convert(f"# Bake\n\nText.\n\n{text}", stem="x")
    assert tasks(converted) == ["Open the oven", "Close the oven"]
    assert told(converted, "V1_LIST_PASSED_OVER") == ["A numbered list is not read as steps: it does not name actions"]


def test_headings_of_what_the_command_is_run_for_are_modes() -> None:
    parts = "".join(f"### For {one}:\n\n1. Open the box\n2. Send the box\n\n" for one in ("cups", "plates"))
    both = convert(f"# P\n\nText.\n\n## Ways\n\n{parts}## Steps\n\n1. Pack it\n2. Post it\n", stem="x")
    assert tasks(both) == ["Pack it", "Post it"]
    assert len(told(both, "V1_LIST_PASSED_OVER")) == 2
    rounds = "".join(f"### For {one} box:\n\n1. Open the box\n2. Send the box\n\n" for one in ("each", "every"))
    assert len(tasks(convert(f"# P\n\nText.\n\n## Ways\n\n{rounds}", stem="x"))) == 4


def test_headings_that_call_the_command_are_modes() -> None:
    calls = "### `/bake bread`\n\n1. Open the oven\n2. Close it\n\n### `/bake list`\n\nAll.\n"
    assert 'a command cannot be made from alternatives: "/bake bread" (line 7)' in refusal(
        f"# Bake\n\nText.\n\n## Use\n\n{calls}"
    )


def test_what_is_done_for_each_of_several_things_is_an_action() -> None:
    listed = "1. For each box, open it\n2. For every oven: check it\n3. For the box\n"
    assert len(tasks(convert(f"# Bake\n\nText.\n\n## More\n\n{listed}", stem="x"))) == 3
    assert "does not name actions" in refusal(f"# Bake\n\nText.\n\n## More\n\n{listed.replace('open it', 'bread')}")


def test_in_a_phase_a_numbered_list_is_its_steps_and_one_item_beside_bullets_is_not() -> None:
    phases = "# Ship\n\nText.\n\n## Phase 1: Look\n\n- Cups\n- Plates\n\n{}\n## Phase 2: Close the shop\n\nx\n"
    two = convert(phases.format("1. Open the box\n2. Send the box\n"), stem="x")
    assert tasks(two)[:2] == ["Open the box", "Send the box"]
    one = convert(phases.format("1. Open the box\n"), stem="x")
    assert tasks(one)[0].startswith("Look: Cups; Plates; Open")
    alone = convert(phases.replace("- Cups\n- Plates\n\n", "").format("1. Open the box\n"), stem="x")
    assert tasks(alone)[0] == "Open the box"


def test_names_with_what_they_mean_are_no_steps_unless_what_announces_them_says_so() -> None:
    names = "1. **feat**: a new thing\n2. **docs**: no new thing\n"
    assert "the list in line 7 names things, not actions" in refusal(f"# S\n\nText.\n\n## Shop\n\n{names}")
    assert len(tasks(convert(f"# S\n\nText.\n\n## Shop\n\nFollow these steps:\n\n{names}", stem="x"))) == 2


def test_a_paragraph_beside_one_item_of_a_phase_leaves_it_a_step() -> None:
    text = "# Ship\n\nText.\n\n## Phase 1: Look\n\nSome words.\n\n1. Open the box\n\n## Phase 2: Close the shop\n\nx\n"
    assert tasks(convert(text, stem="x"))[0] == "Open the box"


def test_a_list_below_a_step_whose_items_say_who_does_them_are_the_steps() -> None:
    inner = "1. Open the box (5 min)\n2. Send the box (5 min)\n"
    text = f"# /s\n\nText.\n\n## Step 1: Look\n\n{inner}\n## Step 2: Close the shop\n\nx\n"
    assert tasks(convert(text, stem="x"))[:2] == ["Open the box", "Send the box"]


def test_the_agent_of_a_phase_is_that_of_its_steps() -> None:
    first = "## Phase 1: Look\n\nAgent: shop-keeper\n\n1. Open the box\n2. Send the box\n"
    phases = convert(f"# /s\n\nText.\n\n{first}\n## Phase 2: Close\n\nx\n", stem="x").definition["phases"]
    assert [node["agentId"] for phase in phases for node in phase["agents"]][:2] == ["shop-keeper"] * 2
