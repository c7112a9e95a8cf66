"""Fan-outs, handoffs, checkpoints, retries and expiries, as events, spans and in the tree."""

import re
import time
from contextlib import ExitStack, suppress
from functools import partial

import pytest

from hypervisor_observability.bus.event_bus import HypervisorEventBus
from hypervisor_observability.events.event_types import EventType
from hypervisor_observability.recorder import FanOut, Recorder
from hypervisor_observability.recorder.fan_out import Policy
from hypervisor_observability.spans.assembly import SpanAssembler
from hypervisor_observability.spans.record import FinishedSpan, SpanStatus
from hypervisor_observability.text.terminal_text import columns
from hypervisor_observability.tree import render_tree
from tests.core.recorder.records import only
from tests.threads import run_in_threads


def spans_of(bus: HypervisorEventBus, saved_at: int = -1) -> dict[str, FinishedSpan]:
    """Assemble the spans; before event *saved_at* the assembler is saved and made again."""
    assembler, spans = SpanAssembler(), []
    for number, event in enumerate(bus.all_events):
        if number == saved_at:
            assembler = SpanAssembler.from_state(assembler.state())
        spans += assembler.feed(event)
    return {span.name: span for span in spans}


def run_branches(fan_out: FanOut, failing: int, succeeding: int) -> None:
    for number in range(failing + succeeding):
        undo = (lambda: None) if number % 2 else None
        with suppress(OSError), fan_out.branch("ask", undo=undo):
            if number < failing:
                raise OSError("no answer")


@pytest.mark.parametrize(
    ("policy", "branch_count", "failing", "succeeding", "satisfied"),
    [
        ("all", None, 0, 3, True),
        ("all", None, 1, 2, False),
        ("all", 4, 0, 3, False),
        ("all", None, 0, 0, True),
        ("majority", None, 1, 2, True),
        ("majority", None, 2, 2, False),
        ("majority", 6, 0, 3, False),
        ("any", None, 4, 1, True),
        ("any", None, 3, 0, False),
        ("unheard-of", None, 1, 3, False),
    ],
)
def test_fan_out_is_resolved_by_its_policy(
    bus: HypervisorEventBus,
    recorder: Recorder,
    policy: Policy,
    branch_count: int | None,
    failing: int,
    succeeding: int,
    satisfied: bool,
) -> None:
    with recorder.saga("poll", saga_id="p") as saga:
        with saga.fan_out(policy, branch_count=branch_count) as fan_out:
            run_branches(fan_out, failing, succeeding)
        assert fan_out.policy_satisfied is satisfied

    started = only(bus, EventType.SAGA_FANOUT_STARTED)
    resolved = only(bus, EventType.SAGA_FANOUT_RESOLVED)
    names = {"saga_id": "p", "group_id": fan_out.group_id, "policy": policy}
    count = {} if branch_count is None else {"branch_count": branch_count}
    assert started.payload == {**names, **count}
    undoable = [number for number in range(failing, failing + succeeding) if number % 2]
    needed = [] if satisfied else ["ask" if n == 0 else f"ask-{n + 1}" for n in undoable]
    assert resolved.payload == {
        **names,
        "success_count": succeeding,
        "failure_count": failing,
        "policy_satisfied": satisfied,
        "compensation_needed": needed,
    }


def test_branches_over_threads_stand_below_their_fan_out(
    bus: HypervisorEventBus, recorder: Recorder
) -> None:
    with recorder.agent("did:lead") as lead, recorder.saga("poll") as saga:
        with saga.fan_out("all", branch_count=8) as fan_out:

            def ask(number: int) -> None:
                with fan_out.branch("ask", step_id=str(number)):
                    pass

            run_in_threads(*(partial(ask, number) for number in range(8)))

    tree = bus.tree(lead.trace.trace_id)
    node = tree.nodes[fan_out.trace.span_id]
    assert node.parent_span_id == saga.trace.span_id
    assert len(node.children) == 8
    started = bus.query_by_type(EventType.SAGA_STEP_STARTED)
    assert {event.agent_did for event in started} == {"did:lead"}
    opening = only(bus, EventType.SAGA_FANOUT_STARTED)
    assert {event.parent_event_id for event in started} == {opening.event_id}
    assert only(bus, EventType.SAGA_FANOUT_RESOLVED).payload["success_count"] == 8


@pytest.mark.parametrize("saved_at", [-1, 3])
def test_fan_out_is_a_span_between_its_saga_and_its_branches(
    bus: HypervisorEventBus, recorder: Recorder, saved_at: int
) -> None:
    with recorder.saga("poll") as saga:
        with saga.fan_out("any") as fan_out:
            with suppress(OSError), fan_out.branch("ask"):
                raise OSError("no answer")
        with saga.step("tell"):
            pass

    spans = spans_of(bus, saved_at)
    fanned = spans["saga.fanout any"]
    assert (
        fanned.parent_span_id
        == spans["saga poll"].span_id
        == spans["saga.step.tell"].parent_span_id
    )
    assert spans["saga.step.ask"].parent_span_id == fanned.span_id
    assert fanned.status is SpanStatus.ERROR
    assert fanned.attributes["agent.saga.id"] == saga.saga_id
    assert "agent.saga.step_id" not in fanned.attributes


def test_fan_out_whose_start_was_not_seen_is_a_span_too(bus: HypervisorEventBus) -> None:
    payload = {"saga_id": "p", "group_id": "g"}
    bus.record(EventType.SAGA_FANOUT_RESOLVED, payload=payload)
    for _ in range(2):
        bus.record(EventType.SAGA_FANOUT_STARTED, payload=payload)
    bus.record(EventType.SAGA_COMPLETED, payload=payload)

    assembler = SpanAssembler()
    spans = [span for event in bus.all_events for span in assembler.feed(event)]
    assert [span.name for span in spans] == ["saga.fanout"] * 3 + ["saga"]
    assert assembler.expired == 2
    assert assembler.open_spans == 0


def test_tree_shows_fan_outs_and_handoffs(bus: HypervisorEventBus, recorder: Recorder) -> None:
    with recorder.agent("did:lead") as lead, recorder.saga("poll", saga_id="p") as saga:
        with saga.fan_out("majority", branch_count=3) as fan_out:
            run_branches(fan_out, failing=2, succeeding=1)
        with saga.step("write", step_id="w"):
            saga.handoff("w", from_agent="did:lead", to_agent="did:heir")
        saga.handoff("other", from_agent="did:lead", to_agent="did:heir", status="failed")
        with saga.fan_out("any", branch_count=1) as fan_out:
            run_branches(fan_out, failing=0, succeeding=1)

    text = render_tree(bus.tree(lead.trace.trace_id), width=100)
    lines = [" ".join(line.split()) for line in text.splitlines()]
    timeless = [re.sub(r" [0-9.]+ (us|ms|s)(?= )", "", line) for line in lines]
    assert [line for line in timeless if "fan-out" in line or "handoff" in line] == [
        "├─ fan-out majority (3 branches, 2 failed) FAILED",
        "│ └─ handoff did:lead to did:heir handed off",
        "├─ handoff did:lead to did:heir (step other) failed",
        "└─ fan-out any (1 branch) ok",
    ]
    assert all(columns(line) <= 100 for line in text.splitlines())


def test_handoff_and_checkpoint_stand_where_they_happen(
    bus: HypervisorEventBus, recorder: Recorder
) -> None:
    with recorder.agent("did:a"), recorder.saga("import", saga_id="i") as saga:
        with saga.step("load") as step:
            saga.checkpoint(step_id="load", checkpoint_id="c1", goal_hash="abc")
        saga.checkpoint()
        run_in_threads(lambda: saga.handoff("load", from_agent="did:a", to_agent="did:b"))

    first, second = bus.query_by_type(EventType.SAGA_CHECKPOINT_SAVED)
    assert first.payload == {
        "saga_id": "i",
        "step_id": "load",
        "checkpoint_id": "c1",
        "goal_hash": "abc",
    }
    assert first.causal_trace_id == step.trace.full_id
    assert set(second.payload) == {"saga_id", "checkpoint_id"}
    handoff = only(bus, EventType.SAGA_HANDOFF)
    assert handoff.payload == {
        "saga_id": "i",
        "step_id": "load",
        "from_agent": "did:a",
        "to_agent": "did:b",
        "status": "handed_off",
    }
    assert handoff.causal_trace_id == saga.trace.full_id
    assert handoff.agent_did == "did:a"


def test_failed_attempt_says_whether_another_follows(
    bus: HypervisorEventBus, recorder: Recorder
) -> None:
    with suppress(OSError), recorder.saga("upload") as saga:
        for attempt in (1, 2, 3):
            with suppress(OSError), saga.step("send", attempt=attempt, max_retries=2):
                raise OSError("busy")
        with suppress(KeyboardInterrupt), saga.step("wait", max_retries=2):
            raise KeyboardInterrupt

    failed = bus.query_by_type(EventType.SAGA_STEP_FAILED)
    assert [event.payload["will_retry"] for event in failed] == [True, True, False, False]
    assert {event.payload["step_id"] for event in failed[:3]} == {"send"}
    assert {event.payload["max_retries"] for event in failed} == {2}


def test_step_finds_the_saga_around_it(bus: HypervisorEventBus, recorder: Recorder) -> None:
    with (
        recorder.saga("outer", saga_id="o"),
        recorder.saga("inner", saga_id="i") as inner,
        recorder.agent("did:a"),
        recorder.step("load") as step,
    ):
        assert step.trace.parent_span_id == inner.trace.span_id

    assert only(bus, EventType.SAGA_STEP_STARTED).payload["saga_id"] == "i"


def test_step_outside_of_any_saga_has_one_of_its_own(
    bus: HypervisorEventBus, recorder: Recorder
) -> None:
    with pytest.raises(OSError, match="disk"), recorder.step("load"):
        raise OSError("disk")

    assert [event.event_type for event in bus.all_events] == [
        EventType.SAGA_CREATED,
        EventType.SAGA_STEP_STARTED,
        EventType.SAGA_STEP_FAILED,
        EventType.SAGA_ESCALATED,
    ]
    created = only(bus, EventType.SAGA_CREATED)
    assert created.payload["name"] == "load"
    assert {event.payload["saga_id"] for event in bus.all_events} == {created.payload["saga_id"]}


def test_elevation_that_outlasts_its_time_ends_with_an_expiry(
    bus: HypervisorEventBus, recorder: Recorder
) -> None:
    with recorder.agent("did:a"), recorder.elevation(3, 1, ttl_seconds=0.01) as elevation:
        assert elevation.ttl_seconds == 0.01
        time.sleep(0.02)
        assert elevation.expired

    ended = only(bus, EventType.RING_ELEVATION_EXPIRED)
    assert ended.payload["elevation_id"] == elevation.elevation_id
    assert ended.payload["elevated_seconds"] >= 0.01
    assert (ended.payload["from_ring"], ended.payload["to_ring"]) == (1, 3)
    assert not bus.query_by_type(EventType.RING_DEMOTED)


def test_elevation_may_expire_within_its_block_once(
    bus: HypervisorEventBus, recorder: Recorder
) -> None:
    with recorder.agent("did:a"), recorder.elevation(3, 1) as elevation:
        before = elevation.expired
        elevation.expire("revoked")
        elevation.expire()
        assert (before, elevation.expired) == (False, True)

    assert only(bus, EventType.RING_ELEVATION_EXPIRED).payload["reason"] == "revoked"
    assert not bus.query_by_type(EventType.RING_DEMOTED)


def test_elevation_within_its_time_ends_with_a_demotion(
    bus: HypervisorEventBus, recorder: Recorder
) -> None:
    with recorder.agent("did:a"), recorder.elevation(3, 1, ttl_seconds=3_600) as elevation:
        assert not elevation.expired

    assert only(bus, EventType.RING_DEMOTED).payload["elevation_id"] == elevation.elevation_id


def run_attempt(fan_out: FanOut, name: str, attempt: int, *, fails: bool) -> None:
    scope = fan_out.branch(name, step_id=name, attempt=attempt, undo=lambda: None)
    with suppress(OSError), scope:
        if fails:
            raise OSError("no answer")


def test_branch_that_is_tried_again_is_one_branch_whose_last_attempt_counts(
    bus: HypervisorEventBus, recorder: Recorder
) -> None:
    with recorder.saga("s") as saga, saga.fan_out("all") as fan_out:
        run_attempt(fan_out, "a", 1, fails=True)
        run_attempt(fan_out, "b", 1, fails=False)
        after = [fan_out.policy_satisfied]
        run_attempt(fan_out, "a", 2, fails=True)
        after.append(fan_out.policy_satisfied)
        run_attempt(fan_out, "a", 3, fails=False)
        after.append(fan_out.policy_satisfied)

    assert after == [False, False, True]
    resolved = only(bus, EventType.SAGA_FANOUT_RESOLVED).payload
    assert (resolved["success_count"], resolved["failure_count"]) == (2, 0)
    assert resolved["policy_satisfied"] is True


def test_earlier_attempt_that_ends_late_does_not_count(
    bus: HypervisorEventBus, recorder: Recorder
) -> None:
    with recorder.saga("s") as saga, saga.fan_out("any") as fan_out:
        slow = ExitStack()
        slow.enter_context(fan_out.branch("a", step_id="a", attempt=1))
        run_attempt(fan_out, "a", 2, fails=True)
        slow.close()

    resolved = only(bus, EventType.SAGA_FANOUT_RESOLVED).payload
    assert (resolved["success_count"], resolved["failure_count"]) == (0, 1)
    assert resolved["policy_satisfied"] is False
