"""Runs declarative multi-agent commands; what a program uses of it is named here.

Effects: none by itself; a name is imported when it is first asked for, since every process that runs an agent imports
this package.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from engine.api.agents import AgentExecutor, AgentFailure, Context, default_executor
    from engine.api.dag import DAG, DAGBuilder
    from engine.api.metrics import MetricsCollector, MetricsReport
    from engine.api.options import CircuitBreaker, ContextManagerConfig, TodoWriteConfig
    from engine.api.orchestration import OrchestrationEngine
    from engine.api.results import NodeResult, RunResult
    from engine.errors import EnvironmentFault, InputError, InvalidCommand, NotFound, OrchestrationError, StateError
    from engine.model.command import CommandDefinition
    from engine.model.policy import Usage

_HOMES = {
    "AgentExecutor": "engine.api.agents",
    "AgentFailure": "engine.api.agents",
    "CircuitBreaker": "engine.api.options",
    "CommandDefinition": "engine.model.command",
    "Context": "engine.api.agents",
    "ContextManagerConfig": "engine.api.options",
    "DAG": "engine.api.dag",
    "DAGBuilder": "engine.api.dag",
    "EnvironmentFault": "engine.errors",
    "InputError": "engine.errors",
    "InvalidCommand": "engine.errors",
    "MetricsCollector": "engine.api.metrics",
    "MetricsReport": "engine.api.metrics",
    "NodeResult": "engine.api.results",
    "NotFound": "engine.errors",
    "OrchestrationEngine": "engine.api.orchestration",
    "OrchestrationError": "engine.errors",
    "RunResult": "engine.api.results",
    "StateError": "engine.errors",
    "TodoWriteConfig": "engine.api.options",
    "Usage": "engine.model.policy",
    "default_executor": "engine.api.agents",
}

__all__ = [
    "DAG",
    "AgentExecutor",
    "AgentFailure",
    "CircuitBreaker",
    "CommandDefinition",
    "Context",
    "ContextManagerConfig",
    "DAGBuilder",
    "EnvironmentFault",
    "InputError",
    "InvalidCommand",
    "MetricsCollector",
    "MetricsReport",
    "NodeResult",
    "NotFound",
    "OrchestrationEngine",
    "OrchestrationError",
    "RunResult",
    "StateError",
    "TodoWriteConfig",
    "Usage",
    "default_executor",
]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    from importlib import import_module  # noqa: PLC0415 - asked for once per name

    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
