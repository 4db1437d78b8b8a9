"""The messages between a coordinator and the workers of its fleet: orders, answers and progress, as bytes.

Pure. An order holds values and the agent's own settings, and nothing of the coordinator's environment: a `"$NAME"` in
them is looked up by the worker.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import timedelta
from itertools import combinations
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import msgspec

from engine.executors.answer import failed
from engine.executors.port import Outcome, OutputSpec, WorkOrder
from engine.ids import AttemptId, NodeId, RunId
from engine.model.agent import Agent, AgentKind
from engine.model.policy import Failure, FailureKind, Usage

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

T = TypeVar("T")
VERSION = 1
"""Stands in the name of every queue, so that no worker gets an order that it cannot read."""
SAME_EVERYWHERE = (
    "Set the same ORCHESTRATE_FLEET_KEY and `blobs` for the coordinator and for every worker, and install the same "
    "version of the package."
)
"""The hint if one side cannot read a message of the other."""
ACTIVITY = "work_order"
LOST = "WORKER_LOST"
"""The type of the error with which a worker that was started again reports what its former process was running."""
NOT_TAKEN = "NotTaken"
"""The type of the error with which a worker returns an order that it has not begun."""
LARGE_PRIORITY = 10
_SAME = (
    *("run", "node", "attempt", "role", "agent", "task", "inputs", "produced"),
    *("timeout", "max_cost_usd", "cost_usd", "estimate"),
)
"""Fields that an order has in common with a work order."""


ObjectId = Annotated[str, msgspec.Meta(pattern=r"\A[0-9a-f]{40}([0-9a-f]{24})?\Z")]
"""The full id of a git object, which git takes for nothing else."""


class Files(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The files that an isolated attempt begins with: commits, as bundles in the store under their ids."""

    root: ObjectId
    """The project's files when its run began, without any history."""
    base: ObjectId
    """The files that the attempt begins with: *root*, or a commit on it."""
    base_tree: ObjectId
    prefix: str = ""
    """The project's root in the tree, with a trailing slash; empty at the top."""


class Output(msgspec.Struct, frozen=True):
    """See `engine.executors.port.OutputSpec`."""

    key: str
    schema: dict[str, Any] | bool | None
    required: bool


class Order(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One attempt, for a worker. A field that it does not know may ask for what it cannot do, so it takes none."""

    project: str
    """The name under which workers allow the project."""
    package: str
    """The version of the coordinator's package."""
    trust: Mapping[str, Any] | None
    """The extent of the user's yes: digests of the agent and of the files that it runs; None: it needs no yes."""
    run: RunId
    node: NodeId
    attempt: AttemptId
    role: str
    agent: Agent
    task: str
    inputs: Mapping[str, Any]
    outputs: tuple[Output, ...]
    produced: Mapping[str, Any]
    timeout: timedelta
    max_cost_usd: float | None
    cost_usd: float
    estimate: timedelta
    files: Files | None = None
    """The files of an isolated agent; None: it works in the worker's folder."""

    def placed(self, project: Path) -> WorkOrder:
        """The work order for an executor, in the worker's own folder *project*."""
        given = {name: getattr(self, name) for name in _SAME}
        outputs = tuple(OutputSpec(key=one.key, schema=one.schema, required=one.required) for one in self.outputs)
        return WorkOrder(project=project, outputs=outputs, **given)


_OF_THE_WORKER = frozenset({"worker", "changes", "took"})


class Answer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """The outcome of an attempt, from a worker."""

    worker: str
    outputs: Mapping[str, Any] = {}
    failure: Failure | None = None
    usage: Usage | None = None
    left: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    in_time: bool = False
    begun: bool = True
    changes: ObjectId | None = None
    """A commit of the files as an isolated agent left them, in the store; None: it changed none."""
    took: timedelta = timedelta()
    """How long the worker had the order."""

    def outcome(self) -> Outcome:
        """The same for the engine; a worker cannot say that it was lost."""
        given = {name: getattr(self, name) for name in self.__struct_fields__ if name not in _OF_THE_WORKER}
        return Outcome(**given)


class Progress(msgspec.Struct, frozen=True, array_like=True):
    """The actions and the text of an agent since the last one."""

    number: int
    action: str | None
    said: str


def order_of(
    order: WorkOrder, *, project: str, package: str, trust: Mapping[str, Any] | None, files: Files | None = None
) -> Order:
    """*order* as it is sent."""
    given = {name: getattr(order, name) for name in _SAME}
    outputs = tuple(
        Output(one.key, None if one.schema is None else _plain(one.schema), one.required) for one in order.outputs
    )
    return Order(project=project, package=package, trust=trust, outputs=outputs, files=files, **given)


def _plain(schema: Mapping[str, Any] | bool) -> dict[str, Any] | bool:  # noqa: FBT001 - a schema may be one
    return schema if isinstance(schema, bool) else dict(schema)


def answer_of(outcome: Outcome, *, worker: str, warnings: Iterable[str] = (), changes: str | None = None) -> Answer:
    """*outcome* as *worker* sends it."""
    return Answer(
        worker=worker,
        outputs=outcome.outputs,
        failure=outcome.failure,
        usage=outcome.usage,
        left=outcome.left,
        warnings=(*outcome.warnings, *warnings),
        in_time=outcome.in_time,
        begun=outcome.begun,
        changes=changes,
    )


def bundle_key(commit: str) -> str:
    """Where the bundle of *commit* is in the store, and what it is about."""
    return f"git/{commit}"


def ended_key(attempt: AttemptId) -> str:
    """Where the answer of an attempt is that was ended on request; not every store takes an id itself as a name."""
    return f"ended/{hashlib.blake2b(attempt.encode(), digest_size=20).hexdigest()}"


def refusal(worker: str, code: str, message: str, hint: str) -> Answer:
    """The answer to an order that *worker* does not run."""
    return answer_of(failed(FailureKind.VALIDATION, code, message, hint=hint, begun=False), worker=worker)


def encode(message: Order | Answer | Progress) -> bytes:
    """*message* as JSON."""
    return msgspec.json.encode(message)


def decode_order(data: bytes) -> Order:
    """The order that `encode` made. Raises `ValueError`."""
    return _decoded(data, Order)


def decode_answer(data: bytes) -> Answer:
    """The answer that `encode` made. Raises `ValueError`."""
    return _decoded(data, Answer)


def decode_progress(data: bytes) -> Progress:
    """The progress that `encode` made. Raises `ValueError`."""
    return _decoded(data, Progress)


def _decoded(data: bytes, shape: type[T]) -> T:
    try:
        return msgspec.json.decode(data, type=shape)
    except msgspec.DecodeError as error:
        raise ValueError(str(error)) from error


def priority_of(priority: int) -> int:
    """The server's key, 1 to 5 and the lowest first, for a node's *priority*: by its sign, and whether it is large."""
    sign = (priority > 0) - (priority < 0)
    return 3 - sign * (2 if abs(priority) >= LARGE_PRIORITY else 1)


def queue_of(kind: AgentKind, labels: Iterable[str] = ()) -> str:
    """The queue for agents of *kind* that ask for *labels*."""
    words = "+".join(sorted(labels))
    return f"orch{VERSION}/{kind}/{words}" if words else f"orch{VERSION}/{kind}"


def queues_of(kinds: Iterable[AgentKind], labels: Iterable[str]) -> list[str]:
    """The queues that a worker with *labels* serves: agents may ask for any of them."""
    known = sorted(set(labels))
    sets = [chosen for size in range(len(known) + 1) for chosen in combinations(known, size)]
    return [queue_of(kind, chosen) for kind in kinds for chosen in sets]
