"""Runs agents that are Python functions, each call in a process of its own.

Effects: starts a Python for each work order, so that a cancel really ends the function and its prints cannot reach the
server's stdout. It never imports an agent's module into this process. A function of this program itself is called by a
fork that has its module imported already, where there are wardens (`subprocesses/calls.py`).
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from pathlib import Path

from engine.executors.answer import failed
from engine.executors.dialogue import ask
from engine.executors.environment import Environment, open_environment
from engine.executors.port import Heartbeat, Outcome, WorkOrder
from engine.executors.subprocesses.process_tags import tag_of
from engine.model.agent import AgentSource
from engine.model.policy import FailureKind

_CHILD = Path(__file__).with_name("python_child.py")
_TARGET = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*(\.[^\W\d]\w*)*")


class PythonExecutor:
    """Calls an agent's `callable`, `module:function`, plain or async, with the request, and takes what it returns."""

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        """*environment* is added to that of every agent; `$NAME` in it stands for a variable of this process."""
        self._environment = environment or {}

    async def execute(self, order: WorkOrder, heartbeat: Heartbeat) -> Outcome:
        """Execute *order* in a child process; an exception becomes a failure with `exc.code` or the class's name."""
        agent = order.agent
        target = agent.callable or ""
        if not _TARGET.fullmatch(target):
            return failed(
                FailureKind.ERROR,
                "CALLABLE_NOT_FOUND",
                f'the agent\'s callable "{target}" does not have the form module:function',
                hint="Write it like an import: checks.schema:compare.",
                begun=False,
            )
        tag = tag_of(order.attempt, order.project, keep=agent.keep_processes)
        # -P keeps the child's own folder off sys.path; the project's comes first if the function is the project's.
        argv = [sys.executable, "-P", str(_CHILD), target]
        if agent.source is AgentSource.PROJECT:
            argv.append(str(order.folder))
        environment = open_environment(order, tag, self._environment)
        if isinstance(environment, Outcome):
            return environment
        module = order.folder.joinpath(*target.partition(":")[0].split("."))
        sources = [module.with_name(f"{module.name}.py"), module / "__init__.py"]
        return await ask(
            order,
            argv,
            name=target,
            environment=environment,
            tag=tag,
            heartbeat=heartbeat,
            sources=sources,
            call=target if agent.source is AgentSource.PACKAGED and not _speaks_to_python(environment) else "",
        )


def _speaks_to_python(environment: Environment) -> bool:
    """Whether a variable, such as PYTHONPATH of your settings, changes what an interpreter does at its start."""
    return any(name.startswith("PYTHON") for name in environment.variables)
