"""Laws of reading agent files: any bytes give an agent or a problem, and what is written well comes back."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from engine.model.agent import AgentSource
from registry.agents.fields import FIELDS
from registry.agents.format import read_agent
from registry.agents.load import load_agents
from registry.agents.problems import Severity
from registry.files.places import AGENTS
from registry.naming import closest, edit_distance

SCRAPS = st.sampled_from([
    "---", "\n", "\r\n", ": ", " ", "\t", "- ", "&a ", "*a", "!!x ", "|", ">", '"', "'", "[", "]", "{", "}", "#", "...",
    "<<", "? ", "%YAML 9.9", "\ufeff", "\x1b", "\u2028", "\\n", ",", "null", "Read", "<example>", "user", "0", "@", "`",
    *sorted(FIELDS),
])  # fmt: skip
FRONTMATTER = st.lists(SCRAPS, max_size=40).map("".join)
WORDS = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=80)


@given(FRONTMATTER | WORDS, FRONTMATTER)
@settings(max_examples=400)
def test_any_text_gives_an_agent_or_an_error_and_never_an_exception(front: str, body: str) -> None:
    agent, problems = read_agent(f"---\n{front}\n---\n{body}", path="/x.md", stem="x", source=AgentSource.PROJECT)
    failed = any(problem.severity is Severity.ERROR for problem in problems)
    assert (agent is None) == failed
    assert all(problem.message and problem.hint for problem in problems)
    if agent is not None:
        json.dumps(structs.asdict(agent), default=str).encode()


@given(
    st.binary(max_size=300) | st.tuples(FRONTMATTER, st.binary(max_size=20)).map(lambda two: two[0].encode() + two[1])
)
@settings(max_examples=150)
def test_any_bytes_in_a_file_give_an_agent_or_a_problem_and_leave_the_neighbour_alone(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / AGENTS
        folder.mkdir(parents=True)
        (folder / "odd.md").write_bytes(content)
        (folder / "zz.md").write_text("---\nname: neighbour-of-odd\ndescription: x\n---\n")
        catalog = load_agents(Path(name), packaged=None)
    assert catalog.get("neighbour-of-odd") is not None
    used = [agent for agent in catalog.agents.values() if (agent.path or "").endswith("odd.md")]
    failed = [problem for problem in catalog.problems if problem.severity is Severity.ERROR]
    assert len(used) + len(failed) + len(catalog.shadowed) >= 1
    assert not (used and failed)


@given(WORDS, st.text(st.characters(codec="utf-8", exclude_characters="\0\r"), max_size=200))
def test_a_description_and_a_prompt_that_are_written_properly_come_back(description: str, prompt: str) -> None:
    text = f"---\nname: a\ndescription: {json.dumps(description, ensure_ascii=False)}\ntools: Read\n---\n{prompt}"
    agent, _ = read_agent(text, path="/x.md", stem="x", source=AgentSource.PROJECT)
    assert agent is not None
    assert agent.description == description.strip()
    assert agent.prompt == prompt.strip("\n")
    assert agent.tools == ("Read",)


@given(st.lists(WORDS.filter(lambda words: "\n" not in words and "\u2028" not in words), min_size=1, max_size=6))
def test_no_description_however_messy_changes_the_tools(lines: list[str]) -> None:
    text = "---\nname: a\ndescription: Use: " + "\n".join(lines) + "\ntools: Read\n---\nBody"
    agent, problems = read_agent(text, path="/x.md", stem="x", source=AgentSource.PROJECT)
    if agent is None:
        assert any(problem.severity is Severity.ERROR for problem in problems)
    else:
        assert agent.tools == ("Read",)


@given(st.text(max_size=12), st.text(max_size=12), st.text(max_size=12))
def test_the_distance_is_symmetric_bounded_and_zero_for_equals_only(one: str, two: str, three: str) -> None:
    assert edit_distance(one, two) == edit_distance(two, one)
    assert (edit_distance(one, two) == 0) == (one == two)
    assert abs(len(one) - len(two)) <= edit_distance(one, two) <= max(len(one), len(two))
    assert edit_distance(one + three, two + three) <= edit_distance(one, two)


@given(st.lists(st.text(min_size=1, max_size=20), max_size=8), st.text(max_size=30))
def test_a_suggestion_is_always_one_of_the_candidates(candidates: list[str], name: str) -> None:
    assert closest(name, candidates) in {None, *candidates}
