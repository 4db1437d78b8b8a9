from __future__ import annotations

import xml.etree.ElementTree as ET
from datetime import timedelta

import pytest

from engine.graph import predict
from engine.views.svg import STYLE, saving, short_time, svg
from tests.support.definitions import Raw, command, node, phase, plan, review_code

SPACE = "{http://www.w3.org/2000/svg}"


def drawing(raw: Raw, *subcommands: Raw) -> ET.Element:
    made = plan(raw, *subcommands)
    return ET.fromstring(svg(made, predict(made)))  # noqa: S314 - our own text


def bars(root: ET.Element) -> dict[str, tuple[float, float]]:
    """Left edge and width of each node's bar by the beginning of its tooltip."""
    found = {}
    for group in root.iter(f"{SPACE}g"):
        title, bar = group.find(f"{SPACE}title"), group.find(f"{SPACE}rect")
        assert title is not None
        assert bar is not None
        found[(title.text or "").split(" ")[0]] = (float(bar.get("x", "")), float(bar.get("width", "")))
    return found


def test_bars_stand_where_the_forecast_puts_them() -> None:
    places = bars(drawing(review_code()))
    left, width = places["analyzer"]
    assert places["quality-review"][0] == pytest.approx(left + width + 2, abs=0.2)
    assert places["security-review"] == places["quality-review"]
    assert places["quality-review"][1] == pytest.approx(2 * width + 2, abs=0.3)


def test_the_critical_path_is_marked() -> None:
    root = drawing(review_code())
    marked = [
        (group.findtext(f"{SPACE}title") or "").split(" ")[0] for group in root.iter(f"{SPACE}g") if group.get("class")
    ]
    assert marked == ["analyzer", "quality-review", "report-generator"]
    assert sum(path.get("class") == "e c" for path in root.iter(f"{SPACE}path")) == 2


def test_each_phase_is_a_band_with_its_limit() -> None:
    root = drawing(review_code())
    assert sum(rect.get("class") == "band" for rect in root.iter(f"{SPACE}rect")) == 3
    texts = [text.text for text in root.iter(f"{SPACE}text") if text.get("class") == "p"]
    assert texts == ["Analysis", "Reviews (at most 2 at once)", "Reporting"]


def test_a_serial_phase_says_so() -> None:
    texts = [text.text for text in drawing(command(phase("one", node("a"), node("b"), parallel=False))).iter()]
    assert "One (one at a time)" in texts


def test_sub_commands_are_bands_inside_and_their_node_a_frame() -> None:
    inner = command(phase("prepare", node("build")), name="/deploy")
    root = drawing(command(phase("all", node("deploy", agent="command", task="/deploy"))), inner)
    kinds = [rect.get("class") for rect in root.iter(f"{SPACE}rect")]
    assert kinds.count("band inner") == 1
    assert kinds.count("group") == 1
    assert list(bars(root)) == ["deploy", "deploy/build"]


def test_text_of_a_file_cannot_become_markup() -> None:
    evil = '</text><script>alert("x")</script>&\x00\x1b[31m\u202e'
    raw = command(phase("one", node("build", task=evil)) | {"name": evil})
    root = drawing(raw)
    assert not list(root.iter(f"{SPACE}script"))
    assert any("<script>" in (text.text or "") for text in root.iter(f"{SPACE}text"))


def test_the_style_asks_for_nothing_outside() -> None:
    assert "url(" not in STYLE
    assert "@import" not in STYLE


def test_long_and_wide_labels_stay_inside_the_picture() -> None:
    name = "x" * 150
    root = drawing(command(phase("one", node(name, minutes=0.01), node("b", minutes=60)) | {"name": "検査" * 20}))
    text = next(text for text in root.iter(f"{SPACE}text") if (text.text or "").startswith("xxx"))
    assert len(text.text or "") < 80
    assert float(text.get("x", "")) < float(root.get("width", ""))
    assert bars(root)[name][1] >= 3


def test_an_edge_can_point_up() -> None:
    root = drawing(command(phase("one", node("late", "early"), node("early"))))
    [edge] = [path for path in root.iter(f"{SPACE}path") if (path.get("class") or "").startswith("e")]
    words = (edge.get("d") or "").replace("M", "").replace("V", " ").split(" ")
    assert float(words[2].split("H")[0]) < float(words[1])


def test_a_year_long_run_has_few_marks_on_its_axis() -> None:
    month = 30 * 24 * 60
    nodes = [node("n0", minutes=month)] + [node(f"n{at}", f"n{at - 1}", minutes=month) for at in range(1, 13)]
    marks = list(drawing(command(phase("one", *nodes))).iter(f"{SPACE}line"))
    assert 2 <= len(marks) <= 8


@pytest.mark.parametrize(
    ("time", "text"),
    [
        (timedelta(seconds=5), "5 s"),
        (timedelta(seconds=1.5), "1.5 s"),
        (timedelta(minutes=20), "20 min"),
        (timedelta(seconds=90), "1.5 min"),
        (timedelta(minutes=95), "1 h 35 min"),
        (timedelta(hours=2), "2 h"),
    ],
)
def test_times_are_short(time: timedelta, text: str) -> None:
    assert short_time(time) == text


def test_the_saving_names_both_times_and_what_limits_cost() -> None:
    made = plan(review_code())
    assert saving(made, predict(made)) == "4 nodes: 30 min in sequence, 20 min at best (33% faster)"
    slow = plan(command(phase("one", *(node(name, minutes=2) for name in "abc"), maxParallelism=2)))
    assert saving(slow, predict(slow)).endswith("2 min at best (67% faster), 4 min with the limits of the phases")
    single = plan(command(phase("one", node("only"))))
    assert saving(single, predict(single)).startswith("1 node: ")
