"""The lists of CONTRIBUTING.md name what is there."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
KINDS = ("executor", "validation rule", "view", "command of the command line", "MCP tool", "storage backend", "setting")


def test_every_file_that_a_list_names_is_there() -> None:
    named = re.findall(r"`([\w./-]+\.(?:py|md|toml|json))`|\]\(([^)]+)\)", TEXT)
    missing = [one or other for one, other in named if not (ROOT / (one or other)).exists()]
    assert len(named) > 30
    assert missing == []


def test_there_is_a_list_for_each_kind_of_change() -> None:
    heads = re.findall(r"^## (.*)$", TEXT, re.MULTILINE)
    assert [kind for kind in KINDS if not any(kind in head for head in heads)] == []
    assert all(section.count("\n1. ") == 1 for section in TEXT.split("\n## ")[1:])


def test_it_is_short_enough_to_be_read() -> None:
    assert 60 <= len(TEXT.splitlines()) <= 100
