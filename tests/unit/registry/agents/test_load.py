from __future__ import annotations

import os
from pathlib import Path

import pytest

from engine.model.agent import AgentKind, AgentSource
from registry.agents.load import MAX_FILE_BYTES, MAX_FILES, MAX_FOLDER_DEPTH, AgentCatalog, load_agents
from registry.agents.problems import AgentProblemCode
from registry.files.places import AGENTS
from tests.support.repositories import write_files

ROOT = Path(__file__).parents[4]

READERS = {"architect-supreme", "senior-reviewer", "security-specialist", "api-designer"}
MEASURERS = {"performance-optimizer"}
AUTHORS = {"documentation-expert"}
BUILDERS = {
    "code-generator-python",
    "frontend-engineer",
    "database-architect",
    "test-engineer",
    "general-assistant",
}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    (folder / AGENTS).mkdir(parents=True)
    return folder


@pytest.fixture
def home(tmp_path: Path) -> Path:
    folder = tmp_path / "home"
    (folder / AGENTS).mkdir(parents=True)
    return folder


def write(folder: Path, name: str, description: str = "Does it.", *, file: str | None = None) -> Path:
    path = folder / (file or f"{name}.md")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"---\nname: {name}\ndescription: {description}\n---\nPrompt of {name}.\n", encoding="utf-8")
    return path


def codes(catalog: AgentCatalog) -> list[tuple[AgentProblemCode, str]]:
    return [(problem.code, Path(problem.path).name) for problem in catalog.problems]


def files(catalog: AgentCatalog) -> list[str]:
    return [name for name, agent in catalog.agents.items() if agent.source is not AgentSource.BUILTIN]


def test_a_project_without_agent_files_has_the_built_in_agents(tmp_path: Path) -> None:
    catalog = load_agents(tmp_path, packaged=None)
    assert list(catalog.agents) == ["claude", "Explore", "general-purpose", "Plan", "statusline-setup"]
    assert all(agent.known_to_claude_code and agent.path is None for agent in catalog.agents.values())
    assert catalog.problems == ()
    assert catalog.shadowed == ()


def test_files_in_folders_below_are_found_and_others_left_alone(project: Path) -> None:
    write(project / AGENTS, "top")
    write(project / AGENTS, "below", file="team/inner/anything.md")
    write(project / AGENTS, "hidden", file=".draft.md")
    write(project / AGENTS, "attic", file=".old/attic.md")
    (project / AGENTS / "notes.txt").write_text("no agent")
    catalog = load_agents(project, packaged=None)
    assert files(catalog) == ["below", "top"]
    below = catalog.get("below")
    assert below is not None
    assert below.path == str(project / AGENTS / "team/inner/anything.md")
    assert below.prompt == "Prompt of below."


def test_project_wins_over_user_over_packaged_over_built_in_and_the_hidden_ones_are_told(
    project: Path, home: Path, tmp_path: Path
) -> None:
    packaged = tmp_path / "packaged"
    for folder in (project / AGENTS, home / AGENTS, packaged):
        write(folder, "reviewer")
    for folder in (home / AGENTS, packaged):
        write(folder, "tester")
    write(packaged, "Explore")
    catalog = load_agents(project, home=home, packaged=packaged)
    assert {name: catalog.agents[name].source for name in ("reviewer", "tester", "Explore")} == {
        "reviewer": AgentSource.PROJECT,
        "tester": AgentSource.USER,
        "Explore": AgentSource.PACKAGED,
    }
    assert [(note.id, note.source, note.used_source) for note in catalog.shadowed] == [
        ("Explore", AgentSource.BUILTIN, AgentSource.PACKAGED),
        ("reviewer", AgentSource.USER, AgentSource.PROJECT),
        ("reviewer", AgentSource.PACKAGED, AgentSource.PROJECT),
        ("tester", AgentSource.PACKAGED, AgentSource.USER),
    ]
    assert str(catalog.shadowed[1]) == (
        f'agent "reviewer" of {project / AGENTS / "reviewer.md"} hides the user agent ({home / AGENTS / "reviewer.md"})'
    )
    assert str(catalog.shadowed[0]).endswith("hides the builtin agent (built into Claude Code)")


@pytest.mark.parametrize(
    ("first", "last"),
    [("a/x.md", "z.md"), ("z.md", "z/a.md"), ("a.md", "a/b.md"), ("a-b.md", "a/b.md"), ("10.md", "9.md")],
)
def test_of_two_files_in_one_folder_with_one_name_the_last_path_is_used(project: Path, first: str, last: str) -> None:
    write(project / AGENTS, "twin", "First.", file=first)
    write(project / AGENTS, "twin", "Last.", file=last)
    catalog = load_agents(project, packaged=None)
    assert catalog.agents["twin"].description == "Last."
    assert [note.path for note in catalog.shadowed] == [str(project / AGENTS / first)]


def test_a_file_in_capitals_without_fields_is_documentation_and_any_other_a_mistake(project: Path) -> None:
    texts = {"README": "# Our agents\n", "CLAUDE": "Be kind.\n", "cook": "You cook.\n"}
    write_files(project, {f"{AGENTS}/{name}.md": text for name, text in texts.items()})
    write(project / AGENTS, "BAKER")
    catalog = load_agents(project, packaged=None)
    assert files(catalog) == ["BAKER"]
    assert codes(catalog) == [(AgentProblemCode.FRONTMATTER, "cook.md")]
    assert list(catalog.unusable) == ["cook"]


def test_the_home_directory_as_project_is_read_once(home: Path) -> None:
    write(home / AGENTS, "mine")
    catalog = load_agents(home, home=home, packaged=None)
    assert catalog.agents["mine"].source is AgentSource.PROJECT
    assert catalog.shadowed == ()


def test_a_packaged_agent_that_judges_the_project_is_not_replaced_by_one_of_it(
    project: Path, home: Path, tmp_path: Path
) -> None:
    packaged = tmp_path / "packaged"
    packaged.mkdir()
    for name in ("judge", "referee", "critic"):
        (packaged / f"{name}.md").write_text(f"---\nname: {name}\ndescription: x\nignoreProject: true\n---\n")
    write(project / AGENTS, "judge")
    (project / AGENTS / "broken.md").write_text("---\nname: referee\ntools: {a: b}\n---\n")
    write(home / AGENTS, "critic")
    catalog = load_agents(project, home=home, packaged=packaged)
    assert {name: catalog.agents[name].source for name in ("judge", "referee", "critic")} == {
        "judge": AgentSource.PACKAGED,
        "referee": AgentSource.PACKAGED,
        "critic": AgentSource.USER,
    }
    assert ("judge", AgentSource.PROJECT) in [(note.id, note.source) for note in catalog.shadowed]
    assert catalog.unusable == {}


def test_a_broken_file_is_told_and_no_agent_behind_it_does_its_work_with_other_rights(
    project: Path, home: Path
) -> None:
    write(home / AGENTS, "reviewer")
    (home / AGENTS / "good.md").write_text("---\nname: good\ntools: {a: b}\n---\n")
    write(project / AGENTS, "good")
    (project / AGENTS / "broken.md").write_text("---\nname: reviewer\ntools: {a: b}\n---\n")
    catalog = load_agents(project, home=home, packaged=None)
    assert files(catalog) == ["good"]
    assert list(catalog.unusable) == ["reviewer"], "a broken file behind a good one is in nobody's way"
    assert str(catalog.unusable["reviewer"]) == (
        f"{project / AGENTS / 'broken.md'}: `tools` takes a list of tools. Write `tools: Read, Grep, Glob`."
    )
    assert (AgentProblemCode.FIELD_INVALID, "broken.md") in codes(catalog)


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"---\nname: caf\xe9\n---\n", AgentProblemCode.NOT_TEXT),
        ("---\nname: a\n---\n".encode("utf-16"), AgentProblemCode.NOT_TEXT),
        (b"---\nname: a\ndescription: x\n---\nzero \0 here", AgentProblemCode.NOT_TEXT),
        (b"---\nname: a\n---\n" + b"x" * MAX_FILE_BYTES, AgentProblemCode.FILE_TOO_LARGE),
        (b"", AgentProblemCode.FRONTMATTER),
        (b"# Agents of this project\n", AgentProblemCode.FRONTMATTER),
    ],
)
def test_a_file_that_is_no_agent_file_gives_one_problem(project: Path, content: bytes, code: AgentProblemCode) -> None:
    (project / AGENTS / "odd.md").write_bytes(content)
    catalog = load_agents(project, packaged=None)
    assert codes(catalog) == [(code, "odd.md")]
    assert catalog.problems[0].hint
    assert files(catalog) == []


def test_the_largest_file_allowed_is_read(project: Path) -> None:
    head = b"---\nname: big\ndescription: x\n---\n"
    (project / AGENTS / "big.md").write_bytes(head + b"x" * (MAX_FILE_BYTES - len(head)))
    assert files(load_agents(project, packaged=None)) == ["big"]


def test_a_nul_is_told_with_its_line(project: Path) -> None:
    (project / AGENTS / "odd.md").write_bytes(b"---\nname: a\n---\nzero \0")
    assert load_agents(project, packaged=None).problems[0].message == "the file has a NUL character in line 4"


def test_links_within_the_project_are_followed_and_links_out_of_it_refused(project: Path, tmp_path: Path) -> None:
    shared = write(project / "shared", "inside")
    outside = write(tmp_path / "elsewhere", "outside")
    (project / AGENTS / "in.md").symlink_to(shared)
    (project / AGENTS / "out.md").symlink_to(outside)
    (project / AGENTS / "out").symlink_to(outside.parent, target_is_directory=True)
    catalog = load_agents(project, packaged=None)
    assert files(catalog) == ["inside"]
    assert codes(catalog) == [
        (AgentProblemCode.FILE_OUTSIDE, "out"),
        (AgentProblemCode.FILE_OUTSIDE, "out.md"),
    ]


def test_a_users_agents_may_be_linked_from_anywhere_in_the_home_directory(project: Path, home: Path) -> None:
    (home / AGENTS / "mine.md").symlink_to(write(home / "dotfiles", "mine"))
    assert files(load_agents(project, home=home, packaged=None)) == ["mine"]


def test_links_that_lead_nowhere_or_round_in_a_circle_end(project: Path) -> None:
    folder = project / AGENTS
    write(folder, "good")
    (folder / "gone.md").symlink_to("nowhere.md")
    (folder / "round.md").symlink_to("round.md")
    (folder / "again").symlink_to(folder, target_is_directory=True)
    catalog = load_agents(project, packaged=None)
    assert files(catalog) == ["good"]
    assert codes(catalog) == [
        (AgentProblemCode.FILE_UNREADABLE, "gone.md"),
        (AgentProblemCode.FILE_UNREADABLE, "round.md"),
    ]
    assert catalog.shadowed == ()


def test_a_pipe_is_not_waited_for(project: Path) -> None:
    os.mkfifo(project / AGENTS / "pipe.md")
    catalog = load_agents(project, packaged=None)
    assert codes(catalog) == [(AgentProblemCode.FILE_UNREADABLE, "pipe.md")]


def test_a_file_name_that_is_not_utf8_is_told_in_text_that_can_be_sent(project: Path) -> None:
    path = os.fsencode(project / AGENTS) + b"/caf\xe9.md"
    Path(os.fsdecode(path)).write_text("---\nname: a\n---\n")
    catalog = load_agents(project, packaged=None)
    assert codes(catalog) == [(AgentProblemCode.FILE_UNREADABLE, "caf\\xe9.md")]
    assert catalog.problems[0].path.encode("utf-8")


def test_an_agents_folder_that_is_a_file_or_a_dead_link_is_a_problem(project: Path, home: Path) -> None:
    (project / AGENTS).rmdir()
    (project / AGENTS).write_text("not a folder")
    (home / AGENTS).rmdir()
    (home / AGENTS).symlink_to("nowhere")
    catalog = load_agents(project, home=home, packaged=None)
    assert [problem.code for problem in catalog.problems] == [AgentProblemCode.FILE_UNREADABLE] * 2


def test_folders_too_deep_are_left_out_and_told(project: Path) -> None:
    deep = project / AGENTS
    for level in range(MAX_FOLDER_DEPTH + 2):
        deep = deep / f"level{level}"
        write(deep, f"agent-{level}")
    catalog = load_agents(project, packaged=None)
    assert files(catalog) == [f"agent-{level}" for level in range(MAX_FOLDER_DEPTH)]
    assert codes(catalog) == [(AgentProblemCode.TOO_MANY_FILES, f"level{MAX_FOLDER_DEPTH}")]


def test_more_files_than_the_limit_are_left_out_and_told(project: Path) -> None:
    for number in range(MAX_FILES + 1):
        (project / AGENTS / f"{number:05}.md").write_text(f"---\nname: n{number}\ndescription: x\n---\n")
    catalog = load_agents(project, packaged=None)
    assert len(files(catalog)) == MAX_FILES
    assert codes(catalog) == [(AgentProblemCode.TOO_MANY_FILES, "agents")]


def test_the_catalog_cannot_be_changed_by_a_reader(project: Path) -> None:
    with pytest.raises(TypeError):
        load_agents(project, packaged=None).agents["x"] = None  # type: ignore[index]


@pytest.mark.parametrize("written", ["senoir-reviewer", "Senior-Reviewer", "senior_reviewer"])
def test_the_guides_misspellings_are_understood(written: str) -> None:
    assert load_agents(ROOT, packaged=None).suggest(written) == "senior-reviewer"


def test_an_unknown_agent_is_not_found_by_guessing(project: Path) -> None:
    assert load_agents(project, packaged=None).get("explore") is None


def test_our_own_agent_files_load_without_a_word() -> None:
    catalog = load_agents(ROOT, packaged=None)
    assert catalog.problems == ()
    assert set(files(catalog)) >= READERS | MEASURERS | AUTHORS | BUILDERS
    for name in READERS | MEASURERS | AUTHORS | BUILDERS:
        agent = catalog.agents[name]
        assert agent.kind is AgentKind.CLAUDE
        assert agent.known_to_claude_code
        assert Path(agent.path or "").stem == name
        assert 100 <= len(agent.description) <= 400
        assert 25 <= len(agent.prompt.splitlines()) <= 60
        assert "When the caller names outputs, answer with exactly these keys" in " ".join(agent.prompt.split())


def test_our_own_agents_have_the_least_tools_for_their_role() -> None:
    agents = load_agents(ROOT, packaged=None).agents
    reading = {"Read", "Grep", "Glob"}
    for names, more in (
        (READERS, set[str]()),
        (MEASURERS, {"Bash"}),
        (AUTHORS, {"Edit", "Write"}),
        (BUILDERS, {"Edit", "Write", "Bash"}),
    ):
        for name in names:
            assert set(agents[name].tools or ()) == reading | more, name


def test_packaged_agents_load_without_an_error() -> None:
    catalog = load_agents(ROOT)
    assert [problem for problem in catalog.problems if problem.severity == "error"] == []
