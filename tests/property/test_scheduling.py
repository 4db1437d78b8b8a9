"""Laws of scheduling that hold for every command, whatever happens to its run and in whichever order."""

from __future__ import annotations

from collections import Counter
from itertools import count, pairwise
from random import Random
from typing import TYPE_CHECKING, Any

from hypothesis import given
from hypothesis import strategies as st

from engine.ids import NodeId
from engine.model.plan import NodeKind
from engine.model.policy import FailureKind, LockType
from engine.run import events as ev
from engine.run import signals as sig
from engine.run.events import Role, RunStatus, WaitReason
from engine.run.lookup import is_superseded
from engine.run.nesting import is_inside
from engine.run.state import NodeStatus
from engine.runtime.resource_requests import ResourceRequests, may_claim
from engine.scheduling.readiness import is_at_work
from engine.scheduling.saga import UNDOING
from engine.storage.port import Batch
from engine.tables.claims import Holder
from engine.tables.locks import Granted, LockTable, Queued, Refused
from tests.support.by_hand import HEIR, OWNER, ByHand
from tests.support.definitions import plan
from tests.support.random_commands import random_family

if TYPE_CHECKING:
    from collections.abc import Iterable

    from engine.run.state import NodeState, PhaseState

STEPS = 40
"""Random happenings to a run, before it is brought to its end."""


class Story(ByHand):
    """A run with a real lock table, to which anything may happen that can happen."""

    every = 8

    def __init__(self, *raw: dict[str, Any], limits: ev.Limits | None = None) -> None:
        self.table = LockTable()
        self.resource_requests = ResourceRequests(OWNER, {})
        self.outcomes: list[Any] = []
        super().__init__(plan(*raw), limits=limits)
        self._claim_for_run()

    def _claim_for_run(self) -> None:
        root = self.run.plan
        if self.run.status is RunStatus.PENDING and root.locks:
            op = self.resource_requests.request(self.run, None, root.locks, wait=root.lock_wait, now=self.now)
            self.outcomes += op(self.table)

    def _take(self, events: list[ev.Event]) -> None:
        super()._take(events)
        batch = Batch()
        for event in events:
            self.resource_requests.follow(self.run, event, batch)
        for op in batch.lock_ops:
            self.outcomes += op(self.table)

    def deliver(self) -> None:
        """Tell the run what the lock table has decided."""
        while self.outcomes:
            outcome = self.outcomes.pop(0)
            if self.run.ended:
                continue
            self.send(answer_of(outcome))
            self.check_now()

    def check_now(self) -> None:
        """What holds at every moment."""
        run = self.run
        at_work = [
            node
            for node in run.nodes.values()
            if node.live is not None and node.live.role is Role.FORWARD and node.plan.kind is NodeKind.AGENT
        ]
        asking = [node for node in run.nodes.values() if node.asking]
        assert run.running == len(at_work) + len(asking)
        limit = run.limits.max_parallelism
        assert limit is None or len(at_work) <= limit
        for phase in run.phases:
            assert phase.running == sum(map(self.takes_a_place, self.users(phase)))
            assert phase.plan.limit is None or phase.running <= phase.plan.limit
            assert phase.unsettled == sum(not run.nodes[name].settled for name in phase.plan.nodes)
        assert run.settled == sum(node.settled for node in run.nodes.values())
        self.check_locks()
        if run.status is RunStatus.RUNNING and run.stop is None:
            assert not [name for name, node in run.nodes.items() if self.could_start(node)]

    def users(self, phase: PhaseState) -> list[NodeState]:
        """The nodes that use the places of *phase*: its own, and instances of those."""
        guests = [other for other in self.run.phases if other.plan.host == phase.plan.index]
        return [self.run.nodes[name] for part in (phase, *guests) for name in part.plan.nodes]

    @staticmethod
    def takes_a_place(node: NodeState) -> bool:
        """Whether *node* uses a place of its phase; the node around instances never does."""
        works = node.live is not None and node.live.role is Role.FORWARD
        return node.plan.template is None and (works or node.asking)

    def check_locks(self) -> None:
        """Who runs has its locks; nobody else has one that conflicts."""
        for name, node in self.run.nodes.items():
            if node.live is not None and node.plan.locks and name not in self.run.stopping:
                claim = self.table.get(Holder(self.run.id, name))
                assert claim is not None, name
                assert claim.granted, name
        held = [claim for claim in self.table if claim.granted and claim.holder.node is not None]
        for one in held:
            for other in held:
                apart = not (one.holder.encloses(other.holder) or other.holder.encloses(one.holder))
                if one.holder == other.holder or not apart:
                    continue
                for mine in one.specs:
                    for theirs in other.specs:
                        related = (f"{mine.resource}.").startswith(f"{theirs.resource}.")
                        assert not related or mine.type == theirs.type == LockType.SHARED

    def could_start(self, node: NodeState) -> bool:
        """Whether a slot is idle while *node* is ready."""
        run = self.run
        phase = run.phases[node.plan.phase]
        if node.status is not NodeStatus.PENDING or phase.opened_at is None or phase.ended_at is not None:
            return False
        if any(not run.nodes[name].settled for name in node.plan.depends_on):
            return False
        group = phase.plan.group
        if group is not None and not is_at_work(run, group):
            return False
        limit = run.limits.max_parallelism
        parts = [phase] if phase.plan.host is None else [phase, run.phases[phase.plan.host]]
        free = all(part.plan.limit is None or part.running < part.plan.limit for part in parts)
        return free and (limit is None or run.running < limit)

    def happen(self, dice: Random) -> None:
        """One thing that may happen now."""
        live = self.live()
        asked = self.asked()
        choices = ["wait", "deliver", "rare"]
        choices += ["succeed"] * 6 * bool(live) + ["fail"] * bool(live) + ["answer"] * 3 * bool(asked)
        match dice.choice(choices):
            case "succeed":
                self.succeed(dice.choice(live))
            case "fail":
                self.fail(dice.choice(live), dice.choice((FailureKind.ERROR, FailureKind.VALIDATION)))
            case "wait":
                self.let_time_pass()
            case "answer":
                name = dice.choice(sorted(asked))
                self.answer(name, dice.choice(asked[name]))
            case "deliver":
                self.deliver()
            case _:
                self.rare(dice)
        self.check_now()

    def asked(self) -> dict[str, tuple[str, ...]]:
        """What a person may answer, by node."""
        return {
            name: ANSWERS[node.waiting.reason]
            for name, node in self.run.nodes.items()
            if node.waiting is not None and node.waiting.reason in ANSWERS and not self.run.ended
        }

    def let_time_pass(self) -> None:
        """Until the next thing is due."""
        due = self.run.next_due()
        if due is not None:
            self.now = max(self.now, due)
            self.outcomes += self.table.expire(self.now)
            self.send(sig.Tick())

    def rare(self, dice: Random) -> None:
        """A crash or a cancel; mostly neither."""
        match dice.choice(("", "", "", "crash", "crash", "cancel", "give up", "lose", "lose")):
            case "cancel":
                self.cancel()
            case "give up":
                self.cancel(compensate=False)
            case "crash":
                self.outcomes.clear()
                self.crash()
                self.resume(standing=self.standing(dice))
            case "lose" if self.live():
                self.lose(dice.choice(self.live()))
            case _:
                pass

    def standing(self, dice: Random) -> list[str]:
        """Some of what other machines may continue: nothing that relies on locks."""
        run = self.run
        free = [name for name in self.live() if not (run.plan.locks or may_claim(run, run.nodes[NodeId(name)]))]
        return [name for name in free if dice.randrange(2)]

    def resume(
        self, *, failed: bool = False, limits: ev.Limits | None = None, standing: Iterable[str] = ()
    ) -> list[ev.Event]:
        """Go on as a new owner, who claims what the old one had."""
        self.outcomes.clear()
        self.resource_requests = ResourceRequests(HEIR, {})
        self.resource_requests.adoption(self.run.id)(self.table)
        events = super().resume(failed=failed, limits=limits, standing=standing)
        self._claim_for_run()
        return events

    def finish(self) -> None:
        """From now on all goes well."""
        for turn in count():
            assert turn < 40 * len(self.run.nodes) + 40, "the run does not come to its end"
            self.deliver()
            if self.run.status is RunStatus.INTERRUPTED:
                self.resume()
                continue
            if self.run.ended:
                return
            live, asked = self.live(), self.asked()
            if live:
                self.succeed(live[0])
            elif asked:
                name = min(asked)
                self.answer(name, asked[name][0])
            else:
                assert self.run.next_due() or self.outcomes, "nothing runs, nothing is due, and the run has not ended"
                self.let_time_pass()
            self.check_now()


def answer_of(outcome: Granted | Queued | Refused) -> sig.Signal:
    """What a run is told of the lock table's decision, as its owner tells it."""
    node = outcome.holder.node
    if isinstance(outcome, Granted):
        return sig.GrantLocks(node)
    return (
        sig.AwaitLocks(node, outcome.deadline)
        if isinstance(outcome, Queued)
        else sig.RefuseLocks(node, outcome.failure)
    )


ANSWERS = {WaitReason.APPROVAL: ("yes", "no"), WaitReason.DECISION: ("retry", "skip", "fail")}


def check_journal(story: ByHand) -> None:
    """What holds for every journal of a run that has ended."""
    story.check_fold()
    run = story.run
    ended = [place for place, event in enumerate(story.events) if isinstance(event, ev.RunEnded)]
    reopened = [place for place, event in enumerate(story.events) if isinstance(event, ev.RunReopened)]
    assert [place + 1 for place in ended] == [*reopened, len(story.events)]
    assert not story.live()
    check_successes(story)
    check_order(story)
    check_undoing(story)
    if run.status is RunStatus.COMPLETED:
        last = [node for name, node in run.nodes.items() if not is_superseded(run, name)]
        assert {node.status for node in last} <= {NodeStatus.COMPLETED, NodeStatus.SKIPPED}
    assert run.status is not RunStatus.COMPLETED or not run.failures
    assert not [name for name, node in run.nodes.items() if node.waiting is not None or node.live is not None]


def check_successes(story: ByHand) -> None:
    """One success of a node until it is reset; nothing of a node after it but its undoing."""
    done: Counter[str] = Counter()
    for event in story.events:
        if isinstance(event, ev.NodeReset):
            done[event.node] = 0
            for name in [name for name in done if event.whole and is_inside(NodeId(name), event.node)]:
                done[name] = 0
        elif isinstance(event, ev.AttemptSucceeded) and role_of(story, event) is Role.FORWARD:
            done[event.node] += 1
            assert done[event.node] == 1
        elif isinstance(event, ev.AttemptScheduled) and event.role is Role.FORWARD:
            assert not done[event.node]


def has_begun(story: ByHand, name: NodeId) -> bool:
    """Whether an agent has begun to do the work of a node, or of one inside it, since that was last reset."""
    never = {
        (event.node, event.number) for event in story.events if isinstance(event, ev.AttemptFailed) and not event.begun
    }
    begun: set[NodeId] = set()
    for event in story.events:
        if isinstance(event, ev.NodeReset):
            begun = {one for one in begun if one != event.node and not (event.whole and is_inside(one, event.node))}
        elif isinstance(event, ev.AttemptScheduled) and event.role is Role.FORWARD:
            begun |= set() if (event.node, event.number) in never else {event.node}
    agents = (other for other in begun if story.run.nodes[other].plan.kind is NodeKind.AGENT)
    return any(other == name or is_inside(other, name) for other in agents)


def role_of(story: ByHand, event: ev.AttemptSucceeded | ev.AttemptStopping) -> Role:
    """Whether the attempt of *event* does the node's work or undoes it."""
    [role] = {
        other.role
        for other in story.events
        if isinstance(other, ev.AttemptScheduled) and (other.node, other.number) == (event.node, event.number)
    }
    return role


def check_order(story: ByHand) -> None:
    """No node starts before what it depends on is settled, and the group around it at work.

    A group that fails while the one around it waits to go on is made live for that only: nothing starts.
    """
    settled: set[str] = set()
    at_work: set[str] = set()
    only_fails = {
        (one.node, one.number)
        for one, then in pairwise(story.events)
        if isinstance(one, ev.AttemptScheduled) and isinstance(then, ev.AttemptStopping) and one.node == then.node
    }
    for event in story.events:
        if isinstance(event, ev.AttemptScheduled) and event.role is Role.FORWARD:
            node = story.run.nodes.get(event.node)  # none if it was dropped by a retry
            assert settled.issuperset(node.plan.depends_on if node is not None else ())
            around = event.node.rpartition("/")[0]
            assert not around or around in at_work or (event.node, event.number) in only_fails
            at_work.add(event.node)
        elif isinstance(event, ev.AttemptStopping | ev.AttemptFailed | ev.AttemptLost):
            at_work.discard(event.node)
        elif isinstance(event, ev.NodeReset):
            settled.discard(event.node)
        elif isinstance(event, ev.NodeSkipped | ev.AttemptSucceeded | ev.CompensationFailed) or (
            isinstance(event, ev.NodeFailed) and not event.compensating
        ):
            at_work.discard(event.node)
            settled.add(event.node)


def check_undoing(story: ByHand) -> None:
    """What is undone is undone after all that depends on it, once."""
    run = story.run
    undone: list[str] = []
    for event in story.events:
        if isinstance(event, ev.NodeReset):
            undone = [name for name in undone if name != event.node and not is_inside(NodeId(name), event.node)]
        elif isinstance(event, ev.AttemptSucceeded) and role_of(story, event) is Role.COMPENSATE:
            assert event.node not in undone
            undone.append(event.node)
        elif isinstance(event, ev.AttemptStopping) and role_of(story, event) is Role.COMPENSATE:
            assert event.failure.kind is FailureKind.TIMEOUT, "only its own time ends a compensation"
    for event in story.events:
        if not isinstance(event, ev.SagaStarted):
            continue
        assert len(set(event.order)) == len(event.order)
        for place, name in enumerate(event.order):
            later = event.order[place + 1 :]
            assert name not in run.nodes or not set(run.nodes[name].plan.dependents) & set(later)
            assert not [other for other in later if is_inside(other, name)]
    cause = run.stop
    if cause is not None and cause.compensate and cause.rollback_to is None:
        kind = cause.failure.kind if cause.failure is not None else FailureKind.CANCEL
        for node in run.nodes.values():
            undo = node.plan.compensation
            undone_then = undo is not None and undo.type in UNDOING and kind in undo.on
            if node.started_at is not None and undone_then and has_begun(story, node.plan.id):
                assert node.status in {NodeStatus.COMPENSATED, NodeStatus.COMPENSATION_FAILED}, node.plan.id


@given(seed=st.integers(0, 2**64), size=st.integers(1, 5), limit=st.sampled_from([None, 1, 2, 3]))
def test_every_run_ends_by_the_rules_whatever_happens(seed: int, size: int, limit: int | None) -> None:
    dice = Random(seed)  # noqa: S311 - repeatable by intent
    story = Story(*random_family(dice, size), limits=ev.Limits(max_parallelism=limit))
    story.check_now()
    for _ in range(dice.randrange(STEPS)):
        if not story.run.ended:
            story.happen(dice)
    story.finish()
    check_journal(story)
    if story.run.status in {RunStatus.FAILED, RunStatus.DEGRADED}:
        story.resume(failed=True)
        story.check_now()
        story.finish()
        check_journal(story)
