from __future__ import annotations

import json
import re
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
async def test_a_model_writes_a_command_with_what_the_project_has(client: Client) -> None:
    text = await text_of_prompt(client, "new-command", "Mend the tests until they pass")
    assert "<arguments>Mend the tests until they pass</arguments>" in text
    assert not text.startswith("---")
    assert '\n- /hello: "' in text
    assert re.search(r'\n- test-engineer: "Writes and runs tests', text)
    uris = set(re.findall(r"\((orchestration://references/[a-z-]+)\)", text))
    assert len(uris) > 10
    for uri in uris:
        [content] = (await client.read_resource(uri)).contents
        assert content.mime_type == "text/markdown"
        assert content.text.startswith("#")  # type: ignore[union-attr]


@keeps("prompts", "resources")
async def test_an_unknown_reference_is_named(client: Client) -> None:
    with pytest.raises(MCPError, match=r'RESOURCE_NOT_FOUND.*\n.*Did you mean "shapes"'):
        await client.read_resource("orchestration://references/shape")


@keeps("prompts")
async def test_a_command_named_as_the_prompt_takes_its_place(client: Client, project: Path) -> None:
    folder = project / ".claude" / "commands" / "v2"
    text = (folder / "hello.json").read_text(encoding="utf-8").replace('"/hello"', '"/new-command"')
    (folder / "new-command.json").write_text(text, encoding="utf-8")
    prompts = [prompt.name for prompt in (await client.list_prompts()).prompts]
    assert prompts.count("new-command") == 1
    assert '{"command": "/new-command", "arguments": "x"}' in await text_of_prompt(client, "new-command", "x")


@keeps("prompts")
async def test_a_project_with_many_agents_has_a_prompt_of_bounded_length(client: Client, project: Path) -> None:
    folder = project / ".claude" / "agents"
    folder.mkdir(exist_ok=True)
    for number in range(100):
        text = f"---\nname: helper-{number}\ndescription: {'long ' * 100}\n---\nYou help.\n"
        (folder / f"helper-{number}.md").write_text(text, encoding="utf-8")
    text = await text_of_prompt(client, "new-command", "x")
    assert len(text) < 25_000
    assert re.search(r"- and \d+ more: orchestration://agents", text)


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
