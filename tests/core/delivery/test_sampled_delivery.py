"""The accounts add up where traces are sampled: what is held, left out, handed over late."""

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from hypervisor_observability import (
    CausalTraceId,
    Config,
    Counts,
    EventType,
    FinishedSpan,
    HypervisorEvent,
    HypervisorEventBus,
    Observability,
    Reject,
    RetryLater,
    hookimpl,
)
from hypervisor_observability.config import DeliveryConfig
from hypervisor_observability.delivery.worker import Worker
from hypervisor_observability.events.event_types import AGENT_FINISHED
from hypervisor_observability.spans.sampling import Sampling
from tests.core.delivery import workers
from tests.core.delivery.workers import Outlet, adds_up
from tests.waiting import wait_until

E = EventType
NONE = Sampling(ratio=0.0, keep_incidents=True, wait_seconds=3_600)


def refuse_names(*names: str) -> Callable[[Sequence[Any]], None]:
    """Refuse spans that are called so."""

    def answer(spans: Sequence[FinishedSpan]) -> None:
        if any(span.name in names for span in spans):
            raise Reject("not that one")

    return answer


def make_worker(bus: HypervisorEventBus, outlet: Outlet, **options: Any) -> Worker:
    return workers.make_worker(bus, outlet, **{"sampling": NONE, **options})


def flushed(worker: Worker, bus: HypervisorEventBus) -> Counts:
    assert workers.flushed(worker, bus)
    return settled(worker)


def stopped(worker: Worker) -> Counts:
    assert workers.stopped(worker)
    return settled(worker)


def settled(worker: Worker) -> Counts:
    counts = worker.account.counts()
    assert adds_up(counts)
    return counts


def agent(bus: HypervisorEventBus, trace: CausalTraceId, name: str = "a") -> None:
    """Emit two events that make one span."""
    bus.record(E.SESSION_JOINED, causal_trace_id=trace.full_id, payload={"name": name})
    bus.record(AGENT_FINISHED, causal_trace_id=trace.full_id)


def breach(bus: HypervisorEventBus, trace: CausalTraceId) -> None:
    bus.record(E.RING_BREACH_DETECTED, causal_trace_id=trace.full_id)


def test_events_of_held_spans_are_in_flight_until_the_stop_leaves_them_out() -> None:
    bus = HypervisorEventBus()
    worker = make_worker(bus, outlet := Outlet("spans"))
    for _ in range(5):
        agent(bus, CausalTraceId())

    counts = flushed(worker, bus)
    assert (counts.delivered, counts.in_flight, counts.pending) == (5, 5, 0)
    assert worker.state.spans.counts.held == 5

    counts = stopped(worker)
    assert (counts.delivered, counts.dropped, counts.in_flight) == (5, {"sampled": 5}, 0)
    assert outlet.spans == []
    assert worker.state.spans.counts.held == 0


def test_incident_of_a_later_batch_delivers_the_earlier_events(bus: HypervisorEventBus) -> None:
    worker = make_worker(bus, outlet := Outlet("spans"))
    good, bad = CausalTraceId(), CausalTraceId()
    agent(bus, good)
    agent(bus, bad)
    assert flushed(worker, bus).in_flight == 2

    breach(bus, bad)
    counts = flushed(worker, bus)

    assert (counts.delivered, counts.in_flight) == (4, 1)
    assert [span.trace_id for span in outlet.spans] == [bad.to_w3c()[0]]
    assert stopped(worker).dropped == {"sampled": 1}


def test_incident_of_the_same_batch_delivers_them_at_once(bus: HypervisorEventBus) -> None:
    worker = make_worker(bus, outlet := Outlet("events", "spans"))
    trace = CausalTraceId()
    agent(bus, trace)
    breach(bus, trace)

    counts = flushed(worker, bus)

    assert (counts.delivered, counts.in_flight, len(outlet.spans)) == (3, 0, 1)
    assert len(outlet.events) == 3
    assert stopped(worker).dropped == {}


def test_event_whose_span_is_left_out_at_once_counts_as_sampled(bus: HypervisorEventBus) -> None:
    worker = make_worker(bus, outlet := Outlet("events", "spans"), sampling=Sampling(ratio=0.0))
    agent(bus, CausalTraceId())

    counts = flushed(worker, bus)

    assert (counts.delivered, counts.dropped, outlet.spans) == (1, {"sampled": 1}, [])
    assert len(outlet.events) == 2
    stopped(worker)


def test_span_of_an_event_that_was_refused_is_not_handed_over(bus: HypervisorEventBus) -> None:
    def answer(events: Sequence[HypervisorEvent]) -> None:
        if refused in events:
            raise Reject("no such event")

    worker = make_worker(bus, outlet := Outlet("events", "spans", answer=answer), sampling=None)
    agent(bus, CausalTraceId(), "refused")
    refused = bus.query()[-1]
    agent(bus, CausalTraceId(), "taken")

    workers.flushed(worker, bus)

    assert [span.name for span in outlet.spans] == ["invoke_agent taken"]
    counts = stopped(worker)
    assert (counts.delivered, counts.rejected) == (3, 1)


def test_quiet_traces_are_left_out_while_nothing_is_emitted(bus: HypervisorEventBus) -> None:
    sampling = Sampling(ratio=0.0, keep_incidents=True, wait_seconds=0.05)
    worker = make_worker(bus, Outlet("spans"), sampling=sampling)
    agent(bus, CausalTraceId())
    flushed(worker, bus)

    wait_until(lambda: not settled(worker).in_flight)

    assert settled(worker).dropped == {"sampled": 1}
    stopped(worker)


def test_limit_counts_what_it_leaves_out(bus: HypervisorEventBus) -> None:
    sampling = Sampling(ratio=0.0, keep_incidents=True, max_held_spans=2)
    worker = make_worker(bus, Outlet("spans"), sampling=sampling, max_batch_events=3)
    for _ in range(10):
        agent(bus, CausalTraceId())

    counts = flushed(worker, bus)

    assert (counts.delivered, counts.in_flight, counts.dropped) == (10, 2, {"sampled": 8})
    assert worker.state.spans.counts.early_decisions == 8
    stopped(worker)


def test_late_span_that_is_refused_costs_its_own_event(bus: HypervisorEventBus) -> None:
    outlet = Outlet("spans", answer=refuse_names("invoke_agent poison"))
    worker = make_worker(bus, outlet)
    trace = CausalTraceId()
    for name in ("good", "poison", "good"):
        agent(bus, trace.child(), name)
    flushed(worker, bus)

    breach(bus, trace)
    assert not workers.flushed(worker, bus)

    counts = settled(worker)
    assert (counts.delivered, counts.rejected, counts.in_flight) == (6, 1, 0)
    assert [span.name for span in outlet.spans] == ["invoke_agent good"] * 2
    stopped(worker)


def test_event_that_was_refused_itself_is_not_counted_again_with_its_span() -> None:
    bus = HypervisorEventBus()

    def answer(events: Sequence[HypervisorEvent]) -> None:
        if any(event.event_type == AGENT_FINISHED for event in events):
            raise Reject("no such event")

    worker = make_worker(bus, outlet := Outlet("events", "spans", answer=answer))
    kept, left = CausalTraceId(), CausalTraceId()
    agent(bus, kept)
    agent(bus, left)
    workers.flushed(worker, bus)
    assert (settled(worker).rejected, settled(worker).in_flight) == (2, 0)

    breach(bus, kept)
    flushed(worker, bus)
    counts = stopped(worker)

    assert (counts.delivered, counts.rejected, counts.dropped) == (3, 2, {})
    assert len(outlet.spans) == 1


def test_event_that_ended_spans_of_two_traces_counts_once(bus: HypervisorEventBus) -> None:
    worker = make_worker(bus, outlet := Outlet("spans"))
    first, second = CausalTraceId(), CausalTraceId()
    bus.record(E.SESSION_CREATED, session_id="s")
    for trace in (first, second):
        bus.record(
            E.SESSION_JOINED,
            session_id="s",
            causal_trace_id=trace.full_id,
            agent_did=trace.trace_id,
        )
    bus.record(E.SESSION_TERMINATED, session_id="s")
    assert flushed(worker, bus).in_flight == 1

    breach(bus, first)
    assert flushed(worker, bus).in_flight == 0
    breach(bus, second)
    counts = flushed(worker, bus)

    assert (counts.delivered, counts.emitted) == (6, 6)
    assert len(outlet.spans) == 2
    assert stopped(worker).dropped == {}


def test_plugin_that_is_turned_off_has_no_event_in_flight(bus: HypervisorEventBus) -> None:
    def answer(_: Sequence[Any]) -> None:
        raise SystemExit

    worker = make_worker(bus, Outlet("spans", answer=answer))
    trace = CausalTraceId()
    agent(bus, CausalTraceId())
    agent(bus, trace)
    flushed(worker, bus)

    breach(bus, trace)
    workers.flushed(worker, bus)

    assert worker.down is not None
    counts = settled(worker)
    assert (counts.in_flight, counts.dropped["down"]) == (0, 1)
    assert (counts.delivered, counts.rejected) == (2, 2)
    stopped(worker)


def test_batch_of_a_hung_hook_is_in_doubt_and_what_is_held_goes_on(bus: HypervisorEventBus) -> None:
    release = threading.Event()

    def hang(_: Sequence[Any]) -> None:
        release.wait(60)

    outlets = [Outlet("spans", answer=hang), Outlet("spans")]
    fresh = outlets[1]
    worker = make_worker(bus, outlets[0], hook_timeout_seconds=0.05, renewed=lambda: fresh)
    held, hung = CausalTraceId(), CausalTraceId()
    agent(bus, held)
    flushed(worker, bus)
    agent(bus, hung)
    breach(bus, hung)
    worker.ensure_running()

    wait_until(worker.replace_if_stuck)
    breach(bus, held)
    workers.flushed(worker, bus)
    counts = stopped(worker)
    release.set()

    assert counts.dropped == {"in_doubt": 3}
    assert (counts.delivered, counts.in_flight) == (3, 0)
    assert [span.trace_id for span in fresh.spans] == [held.to_w3c()[0]]


# With a journal


class Spans:
    """A plugin that asks for none but the traces with an incident."""

    name = "spans"
    sample_ratio = 0.0

    def __init__(self, *, away: bool = False) -> None:
        self.spans: list[FinishedSpan] = []
        self.away = away

    @hookimpl
    def export_spans(self, spans: Sequence[FinishedSpan]) -> None:
        if self.away:
            raise RetryLater(after=1_000)
        self.spans += spans


def observing(directory: Path, plugin: Spans) -> Observability:
    delivery = DeliveryConfig(
        interval_seconds=0.01, keep_incidents=True, sampling_wait_seconds=3_600
    )
    config = Config(
        plugins={"journal": {"directory": directory}}, delivery=delivery, stop_timeout_seconds=5
    )
    return Observability(config, plugins=[plugin])


def test_next_process_hands_over_what_this_one_held(tmp_path: Path) -> None:
    trace = CausalTraceId()
    with observing(tmp_path, Spans()) as first:
        agent(first.bus, trace)
        assert first.flush(30)
        assert first.counts()["spans"].in_flight == 1
    counts = first.counts()["spans"]
    assert (counts.delivered, counts.in_flight, counts.dropped_total) == (2, 0, 0)

    with observing(tmp_path, second := Spans()) as resumed:
        breach(resumed.bus, trace)
        assert resumed.flush(30)
    counts = resumed.counts()["spans"]

    assert [span.trace_id for span in second.spans] == [trace.to_w3c()[0]]
    assert (counts.emitted, counts.delivered) == (1, 1)


def test_what_a_stop_leaves_is_deferred_with_what_was_held(tmp_path: Path) -> None:
    trace = CausalTraceId()
    with observing(tmp_path, Spans(away=True)) as first:
        agent(first.bus, trace)
        assert first.flush(30)
        breach(first.bus, trace)
        first.flush(0.2)
    counts = first.counts()["spans"]
    assert counts.emitted == counts.delivered + counts.dropped["deferred"]
    assert counts.in_flight == 0

    with observing(tmp_path, second := Spans()) as resumed:
        assert resumed.flush(30)

    assert [span.trace_id for span in second.spans] == [trace.to_w3c()[0]]


def test_ratio_that_is_none_is_refused() -> None:
    plugin = Spans()
    plugin.sample_ratio = 1.5

    with pytest.raises(ValueError, match="ratio"):
        Observability(plugins=[plugin])


def test_session_is_told_of_when_it_begins_if_the_plugin_asks_for_it() -> None:
    bus = HypervisorEventBus()
    outlet = Outlet("spans")
    worker = make_worker(bus, outlet, sampling=None, pending_sessions=True)
    bus.record(E.SESSION_CREATED, session_id="s")
    flushed(worker, bus)
    bus.record(E.SESSION_TERMINATED, session_id="s")
    stopped(worker)

    begun, ended = outlet.spans
    assert (begun.trace_id, begun.span_id) == (ended.trace_id, ended.span_id)
    assert (begun.pending, ended.pending) == (True, False)
    assert begun.attributes["agent.hypervisor.pending"] is True
    assert "agent.hypervisor.pending" not in ended.attributes
