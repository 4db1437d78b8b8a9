"""The skill that writes commands, and its reference files: small, whole, and unable to start work."""

from __future__ import annotations

import re

import pytest
import yaml
from docs.authoring import FILES, LEFT_OUT, MAX_BYTES, REFERENCES, reference_files, sections

from mcp_server.cli.skills import SERVERS

SKILL = (REFERENCES.parent / "SKILL.md").read_text(encoding="utf-8")
TEXTS = reference_files()


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.stem)
def test_a_reference_file_is_small_and_speaks_for_itself(path: object) -> None:
    text = TEXTS[path]  # type: ignore[index]
    assert len(text.encode()) <= MAX_BYTES
    assert not re.search(r"\]\((?!https?:)", text), "a link to a page that lies elsewhere"
    assert "<!--" not in text
    assert text.startswith("#")


@pytest.mark.parametrize("page", LEFT_OUT)
def test_every_section_of_a_page_is_in_one_file_or_left_out(page: str) -> None:
    used = [name for of, names in FILES.values() if of == page for name in names]
    assert len(used) == len(set(used))
    assert set(used) | LEFT_OUT[page] == set(sections(page))
    assert not set(used) & LEFT_OUT[page]


def test_the_skill_names_every_reference_and_no_other() -> None:
    named = set(re.findall(r"\]\(references/([a-z0-9-]+)\.md\)", SKILL))
    assert named == {path.stem for path in TEXTS} == {path.stem for path in REFERENCES.iterdir()}


def test_the_skill_may_check_a_command_and_start_none() -> None:
    fields = yaml.safe_load(SKILL.split("---\n")[1])
    assert fields["name"] == "new-command"
    checks = {f"mcp__{server}__{tool}" for server in SERVERS for tool in ("validate", "load_command", "status")}
    reads = {"Read", "Glob", "Grep", "ReadMcpResourceTool", "ListMcpResourcesTool"}
    assert set(fields["allowed-tools"].split(", ")) == checks | reads
    assert len(fields["description"]) <= 1024
