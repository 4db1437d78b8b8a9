"""The server's instructions for a model, and the descriptions of its tools.

Pure. Texts only; a client cuts each at 2 KB.
"""

from __future__ import annotations

LONG_WAIT = 3600
"""Seconds that a call of Claude Code may take: it waits as long as progress is reported."""
SERVER = """\
Runs declarative multi-agent commands of this project: graphs of agents in phases, with parallel work, retries, \
locks, rollback and live todos. Commands are JSON files in .claude/commands/v2 and v1 markdown files in \
.claude/commands; name one as "/name".

How to run one:
1. Call `run` with command "/name" (and arguments) and wait_seconds=3600 (50 if you are not Claude Code): one call \
that waits to the end, while the user sees the progress. Where the client has tasks it moves to the background after \
a minute, and you are notified of the end: do not poll.
2. Then follow the `next` field of each answer.
3. Only if you have TodoWrite or TaskCreate: call `run` without wait_seconds, then `status` with until="phase" and \
wait_seconds as above, and update your list once for each answer. Pass `todos` to TodoWrite unchanged. With TaskCreate \
ask for view="todos" and make the calls in `tasks`: `create` with TaskCreate, `update` with TaskUpdate and the taskId \
that TaskCreate returned for `task`.
4. When the run has ended, present `outputs`; a value {"$ref": uri} is too large to include: read that resource.

If the user interrupts `run` while it waits, the run is cancelled and rolled back; interrupting `status` leaves it \
running. Say which of the two it is.

`validate` checks a command file and reports every problem with its place and a suggestion; `load_command` shows a \
command's phases, critical path and diagram. Use `run` with dry_run=true for a predicted timeline, and executor \
"simulate" to try a command without doing any work. Nothing is simulated unless you ask for it.

A failed run is rolled back if its command says how: its state is then compensated. `resume` continues an interrupted \
run; with failed=true it retries a failed one. `cancel` ends a run and rolls it back.
"""

TWIN = """\
This server is active twice in this session: from the plugin "orchestration", and from a configuration such as \
.mcp.json. The other one offers the tools, this one offers none. Mention it to the user once: one of the two can be \
removed, either the plugin (`/plugin`) or the entry (`claude mcp remove orchestration`). Everything works meanwhile.
"""

LOAD_COMMAND = """\
Load a command and show how it would run: phases, node ids, critical path, estimated times, warnings, a Mermaid \
diagram and its initial todo list. Nothing is run. A command with errors is rejected, with all of them.
"""

VALIDATE = """\
Check a command file without running it. Reports every error and warning at once, each with a code, a JSON Pointer \
into the file and, where possible, a suggestion. Use it while writing or changing a command.
"""

RUN = """\
Run a command: start its agents in the order of its graph, in parallel where it allows. Use this when the user asks \
for one of the project's commands, such as "/review-code src/auth".

With wait_seconds (3600; 50 if you are not Claude Code) it waits for the end, or for a question to the user; without, \
it returns immediately. Follow `next` in the answer. executor: "auto" uses Claude Code for model agents and runs \
programs and Python agents natively; "host" hands the model agents' work to you, as `work` in the answer; "simulate" \
takes no time and does no work. Cancelling this call while it waits cancels the run, unless detach is true. \
For a client with the tasks extension, a run that continues after wait_seconds, or a minute, becomes a task.
"""

STATUS = """\
Show the status of a run: state, progress, phases, failures, todos, decisions that wait for the user, and outputs once \
it has ended. With wait_seconds it waits until the run has ended ("end"), a phase has opened or ended ("phase") or \
anything has changed ("change"), and always returns at a question, a failure, and new work or stop. view: \
"summary" (default), "todos" (the whole list, and tasks for TaskCreate and TaskUpdate), "nodes" (in pages with offset, \
or one with node; and the work that you have not reported), "outputs" (values so far), "timeline", "report".
"""

REPORT = """\
Submit the user's decisions and the results of your work. `decisions` answers what a run waits for: approvals ("yes" \
or "no") and nodes that were lost in a crash and must not be repeated blindly ("retry", "skip" or "fail"). The \
questions are in the status field `decisions`. Ask the user; do not answer for them: if the client can show a form, \
only what the user chooses there counts. `results` reports work that the run handed to this client (executor \
host): for each attempt in `work` its outputs, or a failure {code, kind, message}; an attempt with neither is a \
heartbeat and restarts its timeout. Each work order is in `work` once; `open` lists those that you have. A report that \
comes too late is rejected with an error; of several, `refused` lists the rejected ones.
"""

CANCEL = """\
Cancel a run: nothing new starts, running agents are ended, and what was done is rolled back as the command says \
(compensate false: it is left as it is). Returns once the agents have ended; a rollback continues and shows as \
compensating.
"""

RESUME = """\
Continue a run that was interrupted because its server ended: completed nodes are not run again. With failed true, \
retry a failed or degraded run from the nodes that failed, once the cause is fixed. Limits given here replace those of \
the run: raise one that was reached. Follow `next` in the answer.
"""


LIVE = """\
For the live view of a run in hosts of MCP Apps; models use `status`.
"""

FOLLOW = """\
Pass `wait_seconds` {wait}: that one call waits to the end, while the user sees the progress. (If you have TodoWrite \
or TaskCreate, leave it out and wait with `status`, `until` "phase", instead.) Then do what `next` in the answer says.
"""


def call_text(command: str, arguments: str, wait: int) -> str:
    """A prompt for a model to run *command*; *arguments* is their text as a JSON string.

    *wait* is how many seconds a call of the client may take.
    """
    return f"""\
Run the command {command} with the `run` tool of the MCP server "orchestration":

{{"command": "{command}", "arguments": {arguments}}}

Pass the arguments exactly as given here. {FOLLOW.format(wait=wait)}"""
