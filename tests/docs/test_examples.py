"""Every example of the documentation is what it says, and every session it shows goes as shown."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from jsonschema import Draft202012Validator

from engine.conditions import ConditionError, parse
from engine.graph.expand import duration_of
from engine.model.command import RetryPolicy as WrittenPolicy
from engine.model.policy import RetryPolicy, RetryStrategy
from engine.model.schema import command_schema
from engine.scheduling.retry import next_delay
from engine.transforms import MISSING, parse_transform
from mcp_server.project.project import open_catalog
from mcp_server.project.settings import load_settings
from tests.docs.pages import (
    ALL_BLOCKS,
    DOCS,
    PLAYED,
    ROOT,
    Block,
    blocks,
    make_project,
    play,
    rows_of,
    write_file,
)

if TYPE_CHECKING:
    from pathlib import Path

SPEC = DOCS / "command-spec-v2.md"
LANGUAGES = {"json", "console", "text", "toml", "python", "markdown", "mermaid", "bash", "yaml"}
KINDS = {"title", "part", "data"}
"""What a JSON example is: a file, a part of a command, or something else."""
JSON = [block for block in ALL_BLOCKS if block.language == "json"]


@pytest.mark.parametrize("block", ALL_BLOCKS, ids=str)
def test_a_block_says_what_it_is(block: Block) -> None:
    assert block.language in LANGUAGES
    if block.language == "json":
        assert len(KINDS & block.options.keys()) == 1


@pytest.mark.parametrize("block", [block for block in JSON if "broken" not in block.options], ids=str)
def test_a_json_example_is_json(block: Block) -> None:
    json.loads(block.text)


@pytest.mark.parametrize("block", [block for block in JSON if "part" in block.options], ids=str)
def test_an_example_of_a_part_fits_the_published_schema(block: Block) -> None:
    schema = command_schema()
    validator = Draft202012Validator({"$ref": f"#/$defs/{block.options['part']}", "$defs": schema["$defs"]})
    assert [error.message for error in validator.iter_errors(json.loads(block.text))] == []


@pytest.mark.processes
@pytest.mark.parametrize("page", PLAYED, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_a_page_can_be_followed_to_the_letter(page: Path, tmp_path: Path) -> None:
    project, home = tmp_path / "project", tmp_path / "home"
    project.mkdir()
    home.mkdir()
    make_project(project)
    for block in blocks(page):
        if block.title:
            write_file(project, block)
            check_command(project, block)
        elif block.language == "console":
            play(project, block, home)


def check_command(project: Path, block: Block) -> None:
    """A command file is valid, unless its block says that it is not."""
    assert block.title is not None
    if block.title.startswith(".claude/commands/") and "broken" not in block.options:
        loaded = open_catalog(project, load_settings(project), home=project).load(block.title)
        assert bool(loaded.errors) == ("invalid" in block.options), (str(block), loaded.errors)


@pytest.mark.parametrize(("text", "values", "result"), rows_of(SPEC, "conditions"))
def test_a_condition_of_the_reference_gives_what_it_says(text: str, values: str, result: str) -> None:
    condition = parse(text)
    if result == "error":
        with pytest.raises(ConditionError):
            condition.evaluate(json.loads(values))
    else:
        assert condition.evaluate(json.loads(values)) is (result == "true")


@pytest.mark.parametrize(("text", "value", "result"), rows_of(SPEC, "transforms"))
def test_a_transform_of_the_reference_gives_what_it_says(text: str, value: str, result: str) -> None:
    found = parse_transform(text).apply(json.loads(value))
    assert found is MISSING if result == "nothing" else found == json.loads(result)


@pytest.mark.parametrize(("text", "delays"), rows_of(SPEC, "retries"))
def test_a_retry_policy_of_the_reference_waits_as_it_says(text: str, delays: str) -> None:
    written = WrittenPolicy.model_validate_json(text)
    policy = RetryPolicy(
        max_retries=written.max_attempts,
        strategy=RetryStrategy(written.strategy),
        initial_delay=duration_of(written.initial_delay),
        max_delay=duration_of(written.max_delay),
        multiplier=written.backoff_multiplier,
    )
    waits = [next_delay(policy, retry).total_seconds() for retry in range(1, written.max_attempts + 1)]
    assert waits == [float(delay) for delay in delays.split(",")]
