from __future__ import annotations

from engine.graph import predict
from engine.views.diagram import levels, mermaid, text_tree
from tests.support.definitions import Raw, command, implement_feature, node, phase, plan, review_code

INNER = command(
    phase("prepare", node("build", minutes=2, context={"inputs": [{"key": "version"}], "outputs": [{"key": "image"}]})),
    phase("ship", node("upload", minutes=3), node("announce")),
    name="/deploy",
)
OUTER = command(
    phase("checks", node("test", minutes=4), node("lint")),
    phase("go", node("deploy", "test", agent="command", task="/deploy now"), node("tell", "deploy"), parallel=False),
)


def tree(raw: Raw, *subcommands: Raw) -> str:
    made = plan(raw, *subcommands)
    return text_tree(made, predict(made))


def test_mermaid_boxes_phases_and_marks_the_critical_path() -> None:
    assert mermaid(plan(review_code())) == (
        "flowchart LR\n"
        '  subgraph p0["Analysis"]\n'
        '    n0["analyzer<br/>worker, 5 min"]\n'
        "  end\n"
        '  subgraph p1["Reviews"]\n'
        '    n1["quality-review<br/>worker, 10 min"]\n'
        '    n2["security-review<br/>worker, 10 min"]\n'
        "  end\n"
        '  subgraph p2["Reporting"]\n'
        '    n3["report-generator<br/>worker, 5 min"]\n'
        "  end\n"
        "  n0 --> n1\n"
        "  n0 --> n2\n"
        "  n1 --> n3\n"
        "  n2 --> n3\n"
        "  p0 -.-> p1\n"
        "  p1 -.-> p2\n"
        "  classDef critical stroke-width:3px\n"
        "  class n0,n1,n3 critical\n"
    )


def test_mermaid_puts_sub_commands_inside() -> None:
    text = mermaid(plan(OUTER, INNER))
    assert '    subgraph p2["Prepare"]\n' in text
    assert "  n2 -.-> p2\n" in text
    assert '"deploy<br/>sub-command, 5 min"' in text


def test_mermaid_of_more_arrows_than_are_drawn_is_cut_with_a_note_and_keeps_the_critical_path() -> None:
    first = [node(f"first-{place}", minutes=1 + (place == 29)) for place in range(30)]
    second = [node(f"second-{place}", *(one["id"] for one in first)) for place in range(30)]
    planned = plan(command(phase("one", *first), phase("two", *second)))
    text = mermaid(planned)
    assert text.count("-->") + text.count("-.->") == 500
    assert '  cut["401 of 901 arrows are left out: Mermaid draws no more than 500"]\n' in text
    assert "  p0 -.-> p1\n" in text
    assert f"  n29 --> n{30 + int(planned.critical_path[-1].removeprefix('second-'))}\n" in text
    assert text.count("first-") == text.count("second-") == 30


def test_mermaid_of_as_many_arrows_as_are_drawn_is_whole() -> None:
    first = [node(f"first-{place}") for place in range(25)]
    second = [node(f"second-{place}", *(one["id"] for one in first)) for place in range(20)]
    text = mermaid(plan(command(phase("one", *first), phase("two", *second, barrier=False))))
    assert (text.count("-->"), "left out" in text) == (500, False)


def test_no_barrier_no_arrow_between_phases() -> None:
    assert "-.->" not in mermaid(plan(command(phase("one", node("a")), phase("two", node("b"), barrier=False))))


def test_labels_cannot_break_out_of_mermaid() -> None:
    text = mermaid(plan(command(phase("one", node("a")) | {"name": 'x"]\nclick n0 "javascript:alert(1)" %%{init}%%'})))
    assert '"]\n' not in text.splitlines()[1][:-2]
    assert 'click n0 "' not in text


def test_the_tree_shows_phases_starts_and_the_critical_path() -> None:
    text = tree(review_code())
    assert text.startswith("/review-code - A test\n4 nodes: 30 min in sequence, 20 min at best (33% faster)\n")
    assert "Phase 2: Reviews (at most 2 at once)\n" in text
    assert "├─* quality-review    worker, 10 min, starts at 5 min, after analyzer\n" in text
    assert "└─  security-review   worker, 10 min, starts at 5 min, after analyzer\n" in text
    assert "Critical path (*): analyzer → quality-review → report-generator\n" in text
    assert "Levels\n  0: analyzer\n  1: quality-review, security-review\n  2: report-generator\n" in text


def test_sub_commands_are_indented_below_their_node() -> None:
    text = tree(OUTER, INNER)
    assert "├─  deploy           sub-command, 5 min, starts at 4 min, after test\n" in text
    assert "│  Prepare\n│  └─* deploy/build     worker, 2 min, starts at 4 min\n│  Ship\n" in text


def test_a_last_sub_command_closes_its_line() -> None:
    text = tree(command(phase("go", node("deploy", agent="command", task="/deploy"))), INNER)
    assert "└─  deploy" in text
    assert "\n   Prepare\n" in text


def test_phases_tell_what_is_special_about_them() -> None:
    text = tree(
        command(
            phase("one", node("a"), node("b"), parallel=False, continueOnError=True),
            phase("two", node("c"), barrier=False),
        )
    )
    assert "Phase 1: One (one at a time, continues after errors)\n" in text
    assert "Phase 2: Two (does not wait for the previous phase)\n" in text


def test_context_flow_names_who_produces_and_who_consumes() -> None:
    text = tree(
        command(
            phase("one", node("make", context={"outputs": [{"key": "report", "persist": True}, {"key": "log"}]})),
            phase(
                "two",
                node("read", context={"inputs": [{"key": "report"}, {"key": "seed"}, {"key": "lost"}, {"key": "who"}]}),
                node("all", context={"passthrough": True}),
            ),
            globalContext={"initial": {"seed": 1}},
            arguments=[{"name": "who"}],
        )
    )
    assert text.endswith(
        "Context flow\n"
        "  seed: initial → read\n"
        "  who: argument → read\n"
        "  report: make → read, kept\n"
        "  log: make → not read\n"
        "  lost: nothing → read\n"
        "  everything → all\n"
    )


def test_inputs_of_a_group_feed_its_inside() -> None:
    assert "  deploy/version: the inputs of the node around it → deploy/build\n" in tree(OUTER, INNER)


def test_a_command_without_context_shows_no_flow() -> None:
    assert "Context flow" not in tree(review_code())


def test_long_lists_of_names_are_cut() -> None:
    text = tree(command(phase("one", *(node(f"check-{at}") for at in range(20)))))
    assert "check-11 and 8 more\n" in text


def test_control_characters_do_not_reach_the_terminal() -> None:
    assert "\x1b" not in tree(command(phase("one", node("a", agent="x\x1b[2J")) | {"name": "x\x1b]0;title\x07"}))


def test_levels_count_dependencies_barriers_and_sub_commands() -> None:
    assert levels(plan(implement_feature())) == [
        ["architect"],
        ["backend", "frontend", "database"],
        ["unit-tests", "integration-tests"],
        ["e2e-tests"],
        ["reviewer"],
    ]
    assert levels(plan(OUTER, INNER)) == [
        ["test", "lint"],
        ["deploy/build"],
        ["deploy/upload", "deploy/announce"],
        ["tell"],
    ]


def test_a_phase_without_barrier_begins_at_the_first_level() -> None:
    raw = command(
        phase("one", node("b", "a"), node("a")), phase("two", node("c"), barrier=False), phase("x", node("d"))
    )
    assert levels(plan(raw)) == [["a", "c"], ["b"], ["d"]]
