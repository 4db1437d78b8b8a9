"""Runs declarative multi-agent commands; this module names its public API.

Effects: none by itself; a name is imported when it is first used, since every process that runs an agent imports
this package.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from engine.api.agents import AgentExecutor, AgentFailure, Context, Program, default_executor
    from engine.api.commands import Definition
    from engine.api.dag import DAG, DAGBuilder
    from engine.api.metrics import AgentReport, MetricsCollector, MetricsReport, PhaseReport, ResourceReport
    from engine.api.options import CircuitBreaker, ContextManagerConfig, TodoWriteConfig
    from engine.api.orchestration import OrchestrationEngine
    from engine.api.results import NodeResult, RunResult
    from engine.errors import EnvironmentFault, InputError, InvalidCommand, NotFound, OrchestrationError, StateError
    from engine.model.command import (
        Approval,
        Argument,
        CommandDefinition,
        Compensation,
        Example,
        GlobalContext,
        Input,
        Lock,
        Metadata,
        Node,
        NodeContext,
        Output,
        Phase,
        Requirements,
        Resources,
        RetryPolicy,
        SkipCondition,
    )
    from engine.model.policy import Failure, Usage
    from engine.run.events import RunStatus
    from engine.run.state import NodeStatus
    from engine.validation import Problem
    from engine.views.status import FailureLine
    from engine.views.todos import Todo

_HOMES = {
    "AgentExecutor": "engine.api.agents",
    "AgentFailure": "engine.api.agents",
    "AgentReport": "engine.api.metrics",
    "Approval": "engine.model.command",
    "Argument": "engine.model.command",
    "CircuitBreaker": "engine.api.options",
    "CommandDefinition": "engine.model.command",
    "Compensation": "engine.model.command",
    "Context": "engine.api.agents",
    "ContextManagerConfig": "engine.api.options",
    "DAG": "engine.api.dag",
    "DAGBuilder": "engine.api.dag",
    "Definition": "engine.api.commands",
    "EnvironmentFault": "engine.errors",
    "Example": "engine.model.command",
    "Failure": "engine.model.policy",
    "FailureLine": "engine.views.status",
    "GlobalContext": "engine.model.command",
    "Input": "engine.model.command",
    "InputError": "engine.errors",
    "InvalidCommand": "engine.errors",
    "Lock": "engine.model.command",
    "Metadata": "engine.model.command",
    "MetricsCollector": "engine.api.metrics",
    "MetricsReport": "engine.api.metrics",
    "Node": "engine.model.command",
    "NodeContext": "engine.model.command",
    "NodeResult": "engine.api.results",
    "NodeStatus": "engine.run.state",
    "NotFound": "engine.errors",
    "OrchestrationEngine": "engine.api.orchestration",
    "OrchestrationError": "engine.errors",
    "Output": "engine.model.command",
    "Phase": "engine.model.command",
    "PhaseReport": "engine.api.metrics",
    "Problem": "engine.validation",
    "Program": "engine.api.agents",
    "Requirements": "engine.model.command",
    "ResourceReport": "engine.api.metrics",
    "Resources": "engine.model.command",
    "RetryPolicy": "engine.model.command",
    "RunResult": "engine.api.results",
    "RunStatus": "engine.run.events",
    "SkipCondition": "engine.model.command",
    "StateError": "engine.errors",
    "Todo": "engine.views.todos",
    "TodoWriteConfig": "engine.api.options",
    "Usage": "engine.model.policy",
    "default_executor": "engine.api.agents",
}

__all__ = [
    "DAG",
    "AgentExecutor",
    "AgentFailure",
    "AgentReport",
    "Approval",
    "Argument",
    "CircuitBreaker",
    "CommandDefinition",
    "Compensation",
    "Context",
    "ContextManagerConfig",
    "DAGBuilder",
    "Definition",
    "EnvironmentFault",
    "Example",
    "Failure",
    "FailureLine",
    "GlobalContext",
    "Input",
    "InputError",
    "InvalidCommand",
    "Lock",
    "Metadata",
    "MetricsCollector",
    "MetricsReport",
    "Node",
    "NodeContext",
    "NodeResult",
    "NodeStatus",
    "NotFound",
    "OrchestrationEngine",
    "OrchestrationError",
    "Output",
    "Phase",
    "PhaseReport",
    "Problem",
    "Program",
    "Requirements",
    "ResourceReport",
    "Resources",
    "RetryPolicy",
    "RunResult",
    "RunStatus",
    "SkipCondition",
    "StateError",
    "Todo",
    "TodoWriteConfig",
    "Usage",
    "default_executor",
]


if not TYPE_CHECKING:  # else a type checker would accept any name

    def __getattr__(name: str) -> object:
        if name not in _HOMES:
            message = f"module {__name__!r} has no attribute {name!r}"
            raise AttributeError(message)
        from importlib import import_module  # noqa: PLC0415 - asked for once per name

        return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
