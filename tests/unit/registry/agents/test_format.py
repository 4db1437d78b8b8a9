from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from engine.model.agent import Agent, AgentKind, AgentSource
from registry.agents.format import read_agent
from registry.agents.problems import AgentProblem, AgentProblemCode, Severity

if TYPE_CHECKING:
    from collections.abc import Sequence


def read(
    fields: str, *, stem: str = "stem", source: AgentSource = AgentSource.PROJECT
) -> tuple[Agent | None, Sequence[AgentProblem]]:
    return read_agent(f"---\n{fields}\n---\nYou review.\n", path="/p/x.md", stem=stem, source=source)


def agent(fields: str, *, source: AgentSource = AgentSource.PROJECT) -> Agent:
    found, problems = read(f"name: a\ndescription: Does a.\n{fields}", source=source)
    assert problems == ()
    assert found is not None
    return found


def errors(fields: str) -> list[tuple[AgentProblemCode, str]]:
    found, problems = read(f"name: a\ndescription: Does a.\n{fields}")
    assert found is None
    assert all(problem.hint and problem.path == "/p/x.md" for problem in problems)
    return [(problem.code, problem.message) for problem in problems if problem.severity is Severity.ERROR]


def warnings(fields: str) -> list[tuple[AgentProblemCode, str, str]]:
    found, problems = read(fields)
    assert found is not None
    assert {problem.severity for problem in problems} == {Severity.WARNING}
    return [(problem.code, problem.message, problem.hint) for problem in problems]


def test_every_field_of_claude_code_and_of_ours_reaches_the_agent() -> None:
    found = agent(
        "tools: Read, Bash(git diff:*, git log), mcp__db__*\n"
        "disallowedTools: [Write, Edit]\n"
        "model: claude-opus-4-1[1m]\n"
        "permissionMode: plan\n"
        "maxTurns: 12\n"
        "effort: high\n"
        "isolation: worktree\n"
        "mcpServers:\n  - github\n  - files: {command: x}\n"
        "skills: review, test\n"
        "maxBudgetUsd: 0.50\n"
        "timeoutMs: 600000\n"
        "idleTimeoutMs: 1500\n"
        "keepProcesses: true\n"
        "ignoreProject: true\n"
        "env: {LANG: C, EMPTY: }\n"
        "labels: [linux, gpu, gpu]\n"
        "color: red\n"
        "hooks:\n  PreToolUse:\n    - matcher: Bash\n      hooks: [{type: command, command: ./guard, timeout: 5}]\n"
        "memory: user\nbackground: false\ninitialPrompt: go\nomitClaudeMd: true\nautoCompactWindow: 100000\n"
        "observer: watcher\nobserverMessage: Look.\nobserveSubagents: false\nobserveToolResults: false"
    )
    assert found == Agent(
        id="a",
        description="Does a.",
        prompt="You review.",
        path="/p/x.md",
        tools=("Read", "Bash(git diff:*, git log)", "mcp__db__*"),
        disallowed_tools=("Write", "Edit"),
        model="claude-opus-4-1[1m]",
        permission_mode="plan",
        max_turns=12,
        effort="high",
        isolation="worktree",
        mcp_servers=("github", "files"),
        inline_servers={"files": {"command": "x"}},
        hooks={
            "PreToolUse": [
                {"matcher": "Bash", "hooks": [{"type": "command", "command": "./guard", "timeout": 5}]},
            ]
        },
        handed_on={
            "memory": "user",
            "background": False,
            "initialPrompt": "go",
            "omitClaudeMd": True,
            "autoCompactWindow": 100_000,
            "observer": "watcher",
            "observerMessage": "Look.",
            "observeSubagents": False,
            "observeToolResults": False,
        },
        skills=("review", "test"),
        max_budget_usd=0.5,
        timeout=timedelta(minutes=10),
        idle_timeout=timedelta(milliseconds=1500),
        keep_processes=True,
        ignores_project=True,
        env={"LANG": "C", "EMPTY": ""},
        labels=("gpu", "linux"),
    )


def test_a_process_agent_has_its_arguments_one_by_one() -> None:
    found = agent('executor: process\ncommand: ["python3", "tools/check all.py", "; rm -rf /", ""]')
    assert found.kind is AgentKind.PROCESS
    assert found.command == ("python3", "tools/check all.py", "; rm -rf /", "")


def test_a_python_agent_names_module_and_function() -> None:
    found = agent("executor: python\ncallable: tools.agents:Reviewer.run")
    assert (found.kind, found.callable) == (AgentKind.PYTHON, "tools.agents:Reviewer.run")


@pytest.mark.parametrize(
    ("written", "tools"),
    [
        ("tools: Read Grep", ("Read", "Grep")),
        ("tools:\n  - Read\n  - Grep, Glob", ("Read", "Grep", "Glob")),
        ("tools: []", ()),
        ("tools:", ()),
        ("tools: null", ()),
        ('tools: ""', ()),
        ("tools: mcp__db__query", ("mcp__db__query",)),
        ("tools: Raed, Grep", ("Raed", "Grep")),
        ('tools: "*"', None),
        ("model: sonnet", None),
        ("tools: Agent(Explore, Plan), Read", ("Agent(Explore, Plan)", "Read")),
    ],
)
def test_tools_are_a_list_or_text_and_absent_tools_are_all(written: str, tools: tuple[str, ...] | None) -> None:
    assert agent(written).tools == tools


@pytest.mark.parametrize(("written", "value"), [("yes", True), ("On", True), ("false", False), ("NO", False)])
def test_truth_is_spelled_in_more_than_one_way(written: str, *, value: bool) -> None:
    assert agent(f"keepProcesses: {written}").keep_processes is value


def test_servers_written_as_a_mapping_give_their_names() -> None:
    found = agent("mcpServers:\n  github: {command: x, env: {PORT: 80, ON: true, RATE: 0.5, V: 1.10}}\n  files:\n")
    assert found.mcp_servers == ("github", "files")
    variables = {"PORT": "80", "ON": "true", "RATE": "0.5", "V": "1.10"}
    assert found.inline_servers == {"github": {"command": "x", "env": variables}}


def test_a_server_of_the_file_may_be_an_address() -> None:
    found = agent("mcpServers:\n  - docs: {type: http, url: 'https://x', headers: {A: b}, alwaysLoad: true}\n")
    assert found.inline_servers == {
        "docs": {"type": "http", "url": "https://x", "headers": {"A": "b"}, "alwaysLoad": True}
    }


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("tools: 5", "`tools` has '5', which cannot be a tool"),
        ("tools: {Read: yes}", "`tools` takes a list of tools"),
        ("tools: [[Read]]", "`tools` takes text"),
        ("tools: --dangerously", "`tools` has '--dangerously', which cannot be a tool"),
        ("model: [a]", "`model` takes text"),
        ("model: --settings", "`model` cannot be '--settings'"),
        ("maxTurns: lots", "`maxTurns` cannot be 'lots'"),
        ("maxTurns: 0", "`maxTurns` cannot be '0'"),
        ("maxTurns: ٣", "`maxTurns` cannot be '٣'"),
        ("timeoutMs: -5", "`timeoutMs` cannot be '-5'"),
        ("timeoutMs: 604800001", "`timeoutMs` is over 7 days"),
        ("maxBudgetUsd: 0.0", "`maxBudgetUsd` cannot be '0.0'"),
        ("maxBudgetUsd: 1e9", "`maxBudgetUsd` cannot be '1e9'"),
        ("keepProcesses: perhaps", "`keepProcesses` cannot be 'perhaps'"),
        ("permissionMode: silly", "`permissionMode` cannot be 'silly'"),
        ("labels: [GPU+x]", "`labels` cannot have 'GPU+x'"),
        ("labels: a b, c", "`labels` cannot have 'a b'"),
        ("labels: [a, b, c, d, e, f, g]", "`labels` has 7 labels"),
        ("isolation: remote", "`isolation` cannot be 'remote'"),
        ("memory: everything", "`memory` cannot be 'everything'"),
        ("autoCompactWindow: 99999", "`autoCompactWindow` cannot be 99999"),
        ("disallowedTools: Read, *", "`disallowedTools` cannot be `*`, which removes no tool in Claude Code"),
        ("tools: Raed, Re*", "`tools` does not name any tool of Claude Code: Raed, Re*"),
        ("mcpServers: 5", "`mcpServers` takes names"),
        ("mcpServers: [{db: {args: [x]}}]", "`mcpServers` does not say how to reach 'db'"),
        ("mcpServers: {db: run}", "`mcpServers` does not say how to reach 'db'"),
        ("hooks: ./guard", "`hooks` takes hooks by event"),
        ("hooks: {PreTool: []}", "`hooks` has the event 'PreTool', which Claude Code does not know"),
        ("hooks: {PreToolUse: }", "`hooks` has no list below PreToolUse"),
        ("hooks: {Stop: [x]}", "`hooks` has below Stop an item that is not a matcher"),
        ("hooks: {Stop: [{matcher: [x]}]}", "`hooks` has below Stop an item that is not a matcher"),
        ("hooks: {Stop: [{matcher: x}]}", "`hooks` has no list below Stop"),
        ("hooks: {Stop: [{hooks: [x]}]}", "`hooks` has below Stop a hook without a type of Claude Code"),
        ("hooks: {Stop: [{hooks: [{type: x}]}]}", "`hooks` has below Stop a hook without a type of Claude Code"),
        ("hooks: {Stop: [{hooks: [{type: http}]}]}", "`hooks` has below Stop a http hook without `url`"),
        ("PreToolUse: [{hooks: []}]", "`PreToolUse` is a hook event, not a field, so it has no effect here"),
        ("executor: shell", "`executor` cannot be 'shell'"),
        ("env: PATH=x", "`env` takes variables"),
        ("env: {'A=B': x}", "`env` has the variable 'A=B'"),
        ("env: {A: [x]}", "`env` takes text"),
        ('env: {A: "${B"}', "`env` sets A with '${B'"),
        ("skills: [[a]]", "`skills` takes text"),
        ('effort: "hi\\e[0m"', "`effort` has the control character U+001B"),
        ("callable: a:b", "`callable` is for python agents, but this is a claude agent"),
        ("command: [x]", "`command` is for process agents, but this is a claude agent"),
    ],
)
def test_a_field_that_holds_the_wrong_thing_makes_the_file_unusable(written: str, message: str) -> None:
    assert errors(written) == [(AgentProblemCode.FIELD_INVALID, message)]


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("executor: process\ncommand: make check", "`command` takes a list of arguments"),
        ("executor: process\ncommand: []", "`command` does not name a program"),
        ('executor: process\ncommand: [" ", x]', "`command` does not name a program"),
        ("executor: python\ncallable: tools/agents.py", "`callable` cannot be 'tools/agents.py'"),
        ("executor: python\ncallable: os:system; x", "`callable` cannot be 'os:system; x'"),
    ],
)
def test_what_starts_an_agent_is_checked_before_anything_starts(written: str, message: str) -> None:
    assert errors(written) == [(AgentProblemCode.FIELD_INVALID, message)]


def test_an_executor_needs_what_it_starts() -> None:
    assert errors("executor: process") == [(AgentProblemCode.FIELD_MISSING, "a process agent needs `command`")]
    assert errors("executor: python") == [(AgentProblemCode.FIELD_MISSING, "a python agent needs `callable`")]


def test_all_problems_of_a_file_are_told_at_once() -> None:
    assert [message for _, message in errors("maxTurns: x\ntimeoutMs: y\nexecutor: z")] == [
        "`executor` cannot be 'z'",
        "`maxTurns` cannot be 'x'",
        "`timeoutMs` cannot be 'y'",
    ]


@pytest.mark.parametrize("name", ["senior-reviewer", "A7 Weird_Name", "v1.2", "команда", "3d-artist"])
def test_a_name_that_claude_code_takes_is_an_id(name: str) -> None:
    found, problems = read(f"name: {name}\ndescription: x")
    assert problems == ()
    assert found is not None
    assert found.id == name


def test_two_spellings_of_one_letter_are_one_id() -> None:
    found, _ = read("name: re\u0301viseur\ndescription: x")
    assert found is not None
    assert found.id == "r\u00e9viseur"


@pytest.mark.parametrize("name", ["../up", "-p", "plugin:agent", ".dot", "x" * 65, "a\tb", '""', "command"])
def test_a_name_that_cannot_be_an_id_is_an_error(name: str) -> None:
    found, problems = read(f"name: {name}\ndescription: x")
    assert found is None
    assert [problem.code for problem in problems] == [AgentProblemCode.NAME_INVALID]


def test_a_name_that_is_no_text_is_one_error_and_not_replaced_by_the_files_name() -> None:
    found, problems = read("name: [a]\ndescription: x")
    assert found is None
    assert [problem.code for problem in problems] == [AgentProblemCode.FIELD_INVALID]


def test_without_a_name_the_files_name_is_the_id_and_claude_code_does_not_know_it() -> None:
    found, problems = read("description: x", stem="my-agent")
    assert found is not None
    assert (found.id, found.known_to_claude_code) == ("my-agent", False)
    assert [(problem.code, problem.severity) for problem in problems] == [
        (AgentProblemCode.NAME_MISSING, Severity.WARNING)
    ]


def test_without_a_description_claude_code_does_not_know_the_agent() -> None:
    found, problems = read("name: a")
    assert found is not None
    assert not found.known_to_claude_code
    assert [problem.code for problem in problems] == [AgentProblemCode.DESCRIPTION_MISSING]


@pytest.mark.parametrize("name", ["42", "1e5", "True"])
def test_a_name_that_yaml_takes_for_a_number_or_truth_is_not_known_to_claude_code(name: str) -> None:
    found, problems = read(f"name: {name}\ndescription: x")
    assert problems == ()
    assert found is not None
    assert (found.id, found.known_to_claude_code) == (name, False)


def test_a_packaged_agent_is_not_known_to_claude_code() -> None:
    assert agent("model: opus").known_to_claude_code
    assert not agent("model: opus", source=AgentSource.PACKAGED).known_to_claude_code


def test_a_repaired_file_says_whether_claude_code_reads_it_too() -> None:
    ((code, message, _),) = warnings("name: a\ndescription: Use when: x")
    assert code is AgentProblemCode.FRONTMATTER_REPAIRED
    assert "ignores" not in message
    ((code, message, _),) = warnings("name: a\ndescription: Use when: x\n<example>\nuser: y")
    assert code is AgentProblemCode.FRONTMATTER_REPAIRED
    assert "ignores the file" in message


@pytest.mark.parametrize(
    ("field", "hint"),
    [
        ("memry", "Did you mean memory?"),
        ("tools-version", "Did you mean tools?"),
        ("priority", "Remove it, or start its name with x-."),
    ],
)
def test_an_unknown_field_is_told_with_the_one_that_was_meant(field: str, hint: str) -> None:
    assert warnings(f"name: a\ndescription: x\n{field}: 1") == [
        (AgentProblemCode.FIELD_UNKNOWN, f"unknown field `{field}`", hint)
    ]


@pytest.mark.parametrize(
    ("field", "meant"),
    [
        ("allowed-tools", "tools"),
        ("allowedTools", "tools"),
        ("Tools", "tools"),
        ("disallowed-tools", "disallowedTools"),
        ("disalowedTools", "disallowedTools"),
        ("permission_mode", "permissionMode"),
        ("max-turns", "maxTurns"),
        ("timeout_ms", "timeoutMs"),
        ("hook", "hooks"),
    ],
)
def test_a_limit_under_another_name_is_an_error_that_says_the_right_one(field: str, meant: str) -> None:
    found, problems = read(f"name: a\ndescription: x\n{field}: 1")
    assert found is None
    assert [(problem.code, problem.message, problem.hint) for problem in problems] == [
        (
            AgentProblemCode.FIELD_INVALID,
            f"unknown field `{field}`, and the agent would run without that limit",
            f"Write `{meant}:` instead of `{field}:`.",
        )
    ]


def test_a_field_that_cannot_be_handed_on_is_told() -> None:
    assert warnings("name: a\ndescription: x\nexperimental: {cacheTtl: 1h}") == [
        (
            AgentProblemCode.FIELD_UNKNOWN,
            "the field `experimental` has no effect on an agent that a command starts",
            "Remove it, or keep it for Claude Code itself.",
        )
    ]


def test_fields_that_begin_with_x_are_nobodys_business() -> None:
    assert agent("x-team: core").id == "a"


def test_a_file_without_readable_fields_gives_one_problem_with_its_line() -> None:
    found, problems = read_agent("---\nname: a\nname: b\n---\n", path="/p/x.md", stem="x", source=AgentSource.USER)
    assert found is None
    assert [(problem.code, problem.line) for problem in problems] == [(AgentProblemCode.FRONTMATTER, 3)]
    _, problems = read_agent("no fields", path="/p/x.md", stem="x", source=AgentSource.USER)
    assert [(problem.code, problem.line) for problem in problems] == [(AgentProblemCode.FRONTMATTER, None)]


@pytest.mark.parametrize(
    "written", ['{API_TOKEN: "abcdefgh"}', '{A: "ghp_%s"}' % ("a1" * 18), '{A: "https://me:pw@host"}']
)
def test_a_secret_in_the_file_is_warned_of(written: str) -> None:
    ((code, message, hint),) = warnings(f"name: a\ndescription: Does a.\nenv: {written}")
    assert code is AgentProblemCode.SECRET_IN_FILE
    assert message.startswith("`env` sets A")
    assert '"$A' in hint


SECRET = "ghp_" + "a1" * 18


@pytest.mark.parametrize(
    ("written", "said", "instead"),
    [
        ("mcpServers: [{db: {command: x, env: {DB_PASSWORD: abcdefgh}}}]", "`env` of the server db", "${DB_PASSWORD}"),
        ("mcpServers: [{db: {url: 'https://h/', headers: {X-Api-Key: abcdefgh}}}]", "`headers` of", "${X_API_KEY}"),
        (f"mcpServers: [{{db: {{url: 'https://h/', headers: {{A: Bearer {SECRET}}}}}}}]", "`headers` of", "${A}"),
        (f"mcpServers: [{{db: {{command: x, args: [{SECRET}]}}}}]", "the definition of the server db", "${NAME}"),
        (f"hooks: {{Stop: [{{hooks: [{{type: command, command: 'tell {SECRET}'}}]}}]}}", "`hooks` has", "$NAME"),
        (f"executor: process\ncommand: [x, {SECRET}]", "`command` has", '"$NAME" below env:'),
        ('env: {API_TOKEN: "${TOKEN:-abcdefgh}"}', "`env` sets API_TOKEN", '"$API_TOKEN"'),
    ],
)
def test_a_secret_anywhere_in_the_file_is_warned_of(written: str, said: str, instead: str) -> None:
    ((code, message, hint),) = warnings(f"name: a\ndescription: Does a.\n{written}")
    assert code is AgentProblemCode.SECRET_IN_FILE
    assert message.startswith(said)
    assert SECRET not in message
    assert instead in hint


def test_references_in_servers_and_hooks_are_no_secrets() -> None:
    assert agent(
        "mcpServers: [{db: {command: x, args: ['--password=${DB_PASSWORD}'], env: {DB_PASSWORD: '${DB_PASSWORD}'}}},"
        " {web: {url: 'https://h/', headers: {Authorization: 'Bearer ${API_TOKEN}', X-Key: $KEY}}}]\n"
        "hooks: {Stop: [{hooks: [{type: command, command: 'tell --token $API_TOKEN'}]}]}"
    ).hooks


@pytest.mark.parametrize(
    "written", ['{API_TOKEN: "$TOKEN"}', "{API_KEY: dummy}", "{KEY: /etc/app/key.pem}", "{A: value}"]
)
def test_a_reference_or_an_ordinary_value_is_not(written: str) -> None:
    assert agent(f"env: {written}").env


def test_one_odd_tool_name_costs_that_tool_and_not_the_file() -> None:
    agent, problems = read_agent(
        '---\nname: odd\ndescription: Looks\ntools: Read, "we ird", Grep\n---\nLook.\n',
        path="odd.md",
        stem="odd",
        source=AgentSource.PROJECT,
    )
    assert agent is not None
    assert agent.tools == ("Read", "Grep")
    assert [(one.code, one.severity) for one in problems] == [(AgentProblemCode.FIELD_INVALID, Severity.WARNING)]
    assert "which cannot be a tool's name; the agent runs without it" in problems[0].message
