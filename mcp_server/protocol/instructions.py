"""What the server tells a model about itself and its tools.

Pure. Texts only; a client cuts each at 2 KB.
"""

from __future__ import annotations

SERVER = """\
Runs declarative multi-agent commands of this project: graphs of agents in phases, with parallel work, retries, \
locks, rollback and live todos. Commands are JSON files in .claude/commands/v2 and v1 markdown files in \
.claude/commands; name one as "/name".

How to run one:
1. `run` with command "/name" (and arguments). It returns at once with a run id unless wait_seconds is given.
2. Follow the `next` field of each answer. While the run lives call `status` with its run_id and wait_seconds=60; it \
returns early when something changes.
3. Show progress: pass `todos` to TodoWrite as it is if you have that tool. If you have TaskCreate instead, call \
status with view="todos" and make the calls in `tasks`: `create` for TaskCreate as it is, `update` for TaskUpdate with \
the taskId that TaskCreate gave for `task`. Else print `display`.
4. When the run has ended, present `outputs`; a value {"$ref": uri} is too large to be told: read that resource.

`validate` checks a command file and names every problem with its place and a suggestion; `load_command` shows a \
command's phases, critical path and diagram. Use `run` with dry_run=true for a predicted timeline, and executor \
"simulate" to try a command without doing any work. Nothing is simulated unless it was asked for.

A failed run has been rolled back where the command says how: state compensated. `resume` goes on with an interrupted \
run; with failed=true it takes up a failed one. `cancel` ends a run and rolls it back.
"""

LOAD_COMMAND = """\
Load a command and show how it would run: phases, node ids, critical path, times by estimate, warnings, a Mermaid \
diagram and the todo list it begins with. Nothing is run. A command with errors is refused with all of them.
"""

VALIDATE = """\
Check a command file without running it. Names every error and warning at once, each with a code, a JSON Pointer into \
the file and, where possible, a suggestion. Use it while writing or changing a command.
"""

RUN = """\
Run a command: start its agents in the order of its graph, in parallel where it allows. Use this when the user asks \
for one of the project's commands, such as "/review-code src/auth".

Returns a status at once, or, with wait_seconds, when the run has ended or the time has passed. The run goes on in the \
background; follow `next` in the answer. executor: "auto" takes Claude Code for model agents and runs programs and \
Python agents natively; "host" gives the model agents' work to you, as `work` in the answer; "simulate" pretends, in \
no time, and does nothing; dry_run only predicts the timeline and records nothing. Cancelling this call while it waits \
cancels the run, unless detach is true. For a client with the tasks extension a run that goes on after wait_seconds, \
or after a minute, is a task, which lasts as long as the run.
"""

STATUS = """\
Tell where a run stands: state, progress, phases, failures, todos, what waits for the user, and outputs when it has \
ended. With wait_seconds it waits and returns early at the next change, so prefer it to calling again and again. \
Cancelling this call only ends the wait. view: "summary" (default), "todos" (with tasks for TaskCreate and \
TaskUpdate), "nodes" (every node, and again the open work that you were given), "outputs" (values so far), "timeline" \
(when each node ran), "report".
"""

REPORT = """\
Give the user's answers to what a run waits for: approvals ("yes" or "no") and nodes that were lost in a crash and \
must not be repeated blindly ("retry", "skip" or "fail"). The questions are in the status field `decisions`. Ask the \
user; do not answer for them. `results` reports work that the run asked this client to do (executor host): for each \
attempt of `work` its outputs, or a failure {code, kind, message}; an attempt with neither is still worked on and gets \
its time anew. Each order stands in `work` once; `open` names those that you have. A report that comes too late is \
refused and says so; of several, `refused` names those that were not taken.
"""

CANCEL = """\
Cancel a run: nothing new starts, running agents are ended, and what was done is rolled back as the command says \
(compensate false: it is left as it is). Answers when no agent runs forward any more; a rollback goes on and shows as \
compensating.
"""

RESUME = """\
Go on with a run that was interrupted because its server ended: completed nodes are not run again. With failed true, \
take up a failed or degraded run at its failed nodes, once their cause is gone. Limits that are given win over those \
that the run had: raise one that is used up. Follow `next` in the answer.
"""


FOLLOW = """\
Then do what the `next` field of each answer says until the run has ended, and show the progress meanwhile as it says.
"""


def call_text(command: str, arguments: str) -> str:
    """What a prompt tells a model to do; *arguments* is their text as a JSON string."""
    return f"""\
Run the command {command} with the `run` tool of the MCP server "orchestration":

{{"command": "{command}", "arguments": {arguments}}}

Pass the arguments exactly as they stand here. {FOLLOW}"""
