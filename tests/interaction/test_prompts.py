from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from mcp import MCPError

from tests.interaction.promises import keeps

if TYPE_CHECKING:
    from pathlib import Path

    from mcp import Client


async def text_of_prompt(client: Client, name: str, arguments: str | None = None) -> str:
    given = None if arguments is None else {"arguments": arguments}
    [message] = (await client.get_prompt(name, given)).messages
    assert message.role == "user"
    assert message.content.type == "text"
    return message.content.text


@keeps("prompts")
async def test_each_command_is_a_prompt_with_one_argument(client: Client, project: Path) -> None:
    (project / ".claude" / "commands" / "v2" / "broken.json").write_text("{", encoding="utf-8")
    prompts = {prompt.name: prompt for prompt in (await client.list_prompts()).prompts}
    assert {"hello", "argued", "ask", "review-repo"} <= set(prompts)
    assert "broken" not in prompts
    for prompt in prompts.values():
        [argument] = prompt.arguments or []
        assert (argument.name, argument.required) == ("arguments", False)
    assert "target" in ((prompts["argued"].arguments or [])[0].description or "")


@pytest.mark.parametrize("typed", ["focus on auth", 'a "quoted" \\ path', "zwei\nZeilen ✓", ""])
@keeps("prompts")
async def test_the_argument_text_comes_through_as_typed(client: Client, typed: str) -> None:
    text = await text_of_prompt(client, "hello", typed)
    line = next(line for line in text.splitlines() if line.startswith("{"))
    assert json.loads(line) == {"command": "/hello", "arguments": typed}


@keeps("prompts")
async def test_a_prompt_needs_no_argument(client: Client) -> None:
    assert '"arguments": ""' in await text_of_prompt(client, "hello")


@keeps("prompts", "errors")
async def test_an_unknown_prompt_or_argument_is_named(client: Client) -> None:
    with pytest.raises(MCPError, match=r'COMMAND_NOT_FOUND.*\n.*Did you mean "hello"'):
        await client.get_prompt("helo")
    with pytest.raises(MCPError, match="INVALID_PARAMETERS"):
        await client.get_prompt("hello", {"argument": "x"})


@keeps("prompts", "errors")
async def test_a_project_that_cannot_be_opened_says_why(client: Client, project: Path) -> None:
    (project / ".claude" / "orchestration.toml").write_text("max = 1", encoding="utf-8")
    with pytest.raises(MCPError, match="INVALID_SETTINGS"):
        await client.list_prompts()
