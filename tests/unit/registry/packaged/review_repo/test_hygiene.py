"""The checks that every repository gets."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from registry.packaged.review_repo import hygiene, texts
from registry.packaged.review_repo.data_files import syntax_error
from registry.packaged.review_repo.markdown_links import Targets, broken_links
from registry.packaged.review_repo.meanings import MEANINGS
from tests.unit.registry.packaged.review_repo.conftest import places

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.registry.packaged.review_repo.conftest import Repo


def found(repo: Repo) -> set[tuple[str, str, int]]:
    return places(repo.ask(texts.text)["text"])


def test_every_check_has_a_meaning() -> None:
    assert {meaning for meaning, _, _ in hygiene.RULES.values()} <= set(MEANINGS)


def test_broken_data_files_are_found_at_their_line(repo: Repo) -> None:
    repo.commit(
        **{
            "a.json": '{\n"a": 1,,\n}\n',
            "b.toml": "a = 1\nb = = 2\n",
            "c.yaml": "a: 1\nb: [1, 2\nc: 3\n",
            "fine.json": '{"a": 1}\n',
            "tsconfig.json": "{ // comment\n}\n",
            "chart.yaml": "a: {{ .Values.x }}\n",
            "tests/broken.json": "{",
        }
    )
    assert found(repo) == {("json-syntax", "a.json", 2), ("toml-syntax", "b.toml", 2), ("yaml-syntax", "c.yaml", 3)}


def test_a_committed_conflict_is_found_once(repo: Repo) -> None:
    text = "a: 1\n<<<<<<< HEAD\nb: 1\n=======\nb: 2\n>>>>>>> topic\n"
    repo.commit(**{"c.yaml": text, "doc.rst": "Title\n=======\n"})
    assert found(repo) == {("conflict-marker", "c.yaml", 2)}


def test_direction_characters_in_code_are_found(repo: Repo) -> None:
    repo.commit(**{"a.js": "let x = 1\nlet y = '\u202e'\n", "text.md": "\u202e\n"})
    assert found(repo) == {("bidi-control", "a.js", 2)}


def test_directions_that_are_closed_on_their_line_isolate_words_and_hide_nothing(repo: Repo) -> None:
    repo.commit(**{"a.js": "let x = '\u2066(1%)\u2069'\n", "b.js": "let y = '\u2067' // \u2069\u2067\n"})
    assert found(repo) == {("bidi-control", "b.js", 1)}


def test_broken_links_are_found_in_the_whole_repository_and_in_a_folder(repo: Repo) -> None:
    repo.commit(**{"docs/a.md": "[x](../README.md) and [y](gone.md)\n", "README.md": "[a](docs/a.md)\n"})
    assert found(repo) == {("broken-link", "docs/a.md", 1)}
    outputs = repo.ask(texts.text, structure={"scope": "docs", "files": 1})
    assert [finding["message"] for finding in outputs["text"]["findings"]] == ["Link to gone.md, which does not exist"]


def test_leftovers_and_names_that_other_systems_refuse_are_found(repo: Repo) -> None:
    repo.commit(
        **{"a.py.orig": "x\n", ".env": "A=1\n", "aux.py": "x = 1\n", "A.txt": "1\n", "a.TXT": "2\n", "b:c.md": "x\n"}
    )
    assert found(repo) == {
        ("leftover-file", "a.py.orig", 1),
        ("env-file", ".env", 1),
        ("unportable-name", "aux.py", 1),
        ("unportable-name", "b:c.md", 1),
        ("case-collision", "a.TXT", 1),
    }


def test_a_tracked_file_that_is_ignored_and_a_large_one_are_found(repo: Repo) -> None:
    repo.write("big.bin", b"\0" * 6_000_000)
    repo.commit(**{".gitignore": "*.log\n", "x.log": "1\n"})
    assert found(repo) == {("ignored-but-tracked", "x.log", 1), ("large-file", "big.bin", 1)}


def test_an_untracked_leftover_is_nobodys_business(repo: Repo) -> None:
    repo.write("a.orig", "x\n")
    assert found(repo) == set()


def test_links_out_of_the_repository_and_to_nowhere_are_found(repo: Repo, tmp_path: Path) -> None:
    (repo.root / "out").symlink_to(tmp_path)
    (repo.root / "nowhere").symlink_to("missing")
    (repo.root / "loop").symlink_to("loop")
    repo.write("real/a.py")
    (repo.root / "fine").symlink_to("real")
    repo.commit(**{"README.md": "[x](fine/a.py) [y](fine/gone.py)\n"})
    assert {(rule, file) for rule, file, _ in found(repo)} == {
        ("symlink-outside", "out"),
        ("symlink-broken", "nowhere"),
        ("symlink-broken", "loop"),
    }


def test_what_the_time_did_not_reach_is_told(repo: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(texts, "SECONDS", 0)
    repo.commit(**{"a.json": "{"})
    assert "0 of 1 files" in repo.ask(texts.text)["text"]["limits"][0]


def test_a_link_to_what_a_sparse_checkout_leaves_out_is_not_broken(repo: Repo) -> None:
    repo.commit(**{"app/README.md": "[x](../docs/a.md) [y](../docs/gone.md)\n", "docs/a.md": "# A\n"})
    repo.git("sparse-checkout", "set", "app")
    seen = repo.structure()
    assert [(item["reason"], item["examples"]) for item in seen["skipped"]] == [
        ("not in this sparse checkout", ["docs/a.md"])
    ]
    messages = [finding["message"] for finding in repo.ask(texts.text)["text"]["findings"]]
    assert messages == ["Link to ../docs/gone.md, which does not exist"]


@pytest.mark.parametrize(
    ("path", "language", "text", "line"),
    [
        ("a.json", "JSON", "", None),
        ("a.json", "JSON", '{"a": 1}\n{"a": 2}\n', None),
        ("a.json", "JSON", '{"a": 1}\n{"a": 2\n', 2),
        ("a.json", "JSON", '{\n"a": 1\n}\n{\n"a": 2\n}\n', None),
        ("a.json", "JSON", '// for people\n{"a": 1,}', None),
        ("a.json", "JSON", "[" * 100_000, 1),
        ("a.json", "JSON", "1" * 5000, None),
        ("a.jsonc", "JSON", "// x", None),
        (".vscode/settings.json", "JSON", "// x", None),
        ("a.toml", "TOML", "a = 1\n", None),
        ("a.toml", "TOML", "a = " + "[" * 100_000, 1),
        ("a.yaml", "YAML", "a: &x 1\nb: *x\n---\n!custom c\n", None),
        ("a.yaml", "YAML", "\ta: 1\n", 1),
        ("a.yaml", "YAML", "[\n" * 1_100 + "]" * 1_100, 1_001),
        ("a.yaml", "YAML", "[" * 900 + "]" * 900, None),
        ("a.yaml", "YAML", "a: \x01\n", 1),
    ],
)
def test_syntax_is_judged_at_its_line(path: str, language: str, text: str, line: int | None) -> None:
    problem = syntax_error(path, language, text)
    assert (problem[0] if problem else None) == line


@pytest.mark.parametrize(
    ("text", "targets"),
    [
        ("[a](b.md)", ["b.md"]),
        ("[a](<b c.md> 'title')", ["b c.md"]),
        ("[a](b%20c.md#part)", ["b%20c.md#part"]),
        ("[ref]: ./b.md", ["./b.md"]),
        ("![i](i.png)", ["i.png"]),
        ("[a](known.md) [b](sub) [c](sub/known.md?x=1)", []),
        ("[a](https://x.example/b.md) [m](mailto:a@b.md) [p](//x/b.md)", []),
        ("[a](#part) [b](page) [c](page.html) [d](../../up.md) [e]({{ x }}.md)", []),
        ("`[a](b.md)` and\n```\n[a](b.md)\n```\n~~~\n[a](b.md)\n```\n~~~\n    [a](b.md)", []),
        ("<!-- [a](b.md) -->", []),
        ("[a](/b.md)", ["/b.md"]),
        ("[a](module/b.md)", []),
    ],
)
def test_only_links_to_files_that_are_surely_missing_are_broken(text: str, targets: list[str]) -> None:
    known = Targets({"known.md", "sub", "sub/known.md"}, {"module"})
    assert [target for _, target in broken_links("README.md", text, known)] == targets


def test_an_absolute_link_of_a_page_in_a_folder_may_be_a_route() -> None:
    assert list(broken_links("docs/a.md", "[a](/b.md)", Targets(set(), set()))) == []
