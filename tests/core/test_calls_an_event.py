"""What an event costs on its way, in calls of functions: times would depend on the machine.

A figure is what its stage took when it was written down. Who makes a stage dearer on purpose writes
the new figure down; who did not mean to finds out here.
"""

import gc
import sys
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Any

import pytest

from hypervisor_observability import FinishedSpan, HypervisorEvent, HypervisorEventBus, Recorder
from hypervisor_observability.config import RedactionConfig
from hypervisor_observability.delivery.accounts import Account
from hypervisor_observability.delivery.outlet import Terms
from hypervisor_observability.delivery.worker import Worker
from hypervisor_observability.gate import Gate
from hypervisor_observability.metrics.families import MetricFamily
from hypervisor_observability.metrics.registry import MetricsRegistry
from hypervisor_observability.spans.assembly import SpanAssembler
from hypervisor_otel import request_of_spans

ROUNDS = 50
SECONDS = 60
MARGIN = 1.1
"""Versions of Python differ by 3 % in what they call."""


def steps_of_sagas(recorder: Recorder) -> None:
    for _ in range(ROUNDS):
        with recorder.saga("deploy") as saga:
            for name in ("validate", "build", "roll-out"):
                with saga.step(name):
                    pass


def calls_of_agents(recorder: Recorder) -> None:
    with recorder.session("s-1"), recorder.agent("did:mesh:a"):
        for _ in range(ROUNDS):
            with recorder.tool("search"), recorder.model("m"):
                pass
            with recorder.agent("did:mesh:b"):
                recorder.vfs.write("/report")


Work = Callable[[Recorder], None]
Admit = Callable[[HypervisorEvent], HypervisorEvent]


def counted(work: Callable[[], Any]) -> tuple[int, Any]:
    """Give how many functions were called, of Python and of C, and what *work* gave."""
    calls = 0

    def note(_frame: FrameType, what: str, _argument: object) -> None:
        nonlocal calls
        calls += what in {"call", "c_call"}

    before, collects = sys.getprofile(), gc.isenabled()
    gc.disable()  # finalisers of earlier tests are not on the way
    sys.setprofile(note)
    try:
        result = work()
    finally:
        sys.setprofile(before)
        if collects:
            gc.enable()
    return calls, result


def recorded(work: Work) -> HypervisorEventBus:
    bus = HypervisorEventBus()
    work(Recorder(bus))
    return bus


def assembled(events: Sequence[HypervisorEvent]) -> list[FinishedSpan]:
    assembler = SpanAssembler()
    return [span for event in events for span in assembler.feed(event)]


class TakesSpans:
    """An outlet that does nothing with what it takes."""

    takes_events = takes_metrics = False
    takes_spans = True

    def __init__(self) -> None:
        self.spans = 0

    def export_events(self, events: Sequence[HypervisorEvent]) -> None:
        raise AssertionError("takes_events is False, and events were handed over")

    def export_spans(self, spans: Sequence[FinishedSpan]) -> None:
        self.spans += len(spans)

    def export_metrics(self, metrics: Sequence[MetricFamily]) -> None:
        raise AssertionError("takes_metrics is False, and metrics were handed over")

    def flush(self) -> None:
        """Nothing is held back."""

    def stop(self) -> None:
        """Nothing is open."""


def delivered(bus: HypervisorEventBus, admit: Admit) -> int:
    """Give how many spans a plugin was handed: admitted, assembled, offered and settled."""
    outlet = TakesSpans()
    worker = Worker("test", outlet, Account(bus.log), Terms(admit=admit))
    assert worker.catch_up(bus.emitted, SECONDS)
    return outlet.spans


def way_of_events(work: Work) -> dict[str, float]:
    """Give the calls an event in each stage, in their order."""
    gate, registry = Gate.of(RedactionConfig()), MetricsRegistry()
    calls: dict[str, int] = {}
    calls["recorded"], bus = counted(lambda: recorded(work))
    events = list(bus.all_events)
    calls["admitted"], admitted = counted(lambda: [gate.admit(event) for event in events])
    calls["admitted again"], _ = counted(lambda: [gate.admit(event) for event in events])
    calls["counted"], _ = counted(lambda: registry.observe(admitted))
    calls["assembled"], spans = counted(lambda: assembled(admitted))
    calls["delivered"], handed_over = counted(lambda: delivered(bus, gate.admit))
    assert handed_over == len(spans)
    calls["written"], request = counted(
        lambda: request_of_spans([(spans, {})], ["hypervisor", "otel-genai"])
    )
    assert request.count == len(spans) >= len(events) // 3
    return {stage: number / len(events) for stage, number in calls.items()}


@pytest.mark.parametrize(
    ("work", "known"),
    [
        (
            steps_of_sagas,
            {
                "recorded": 47.0,
                "admitted": 9.9,
                "admitted again": 5.9,
                "counted": 11.1,
                "assembled": 49.8,
                "delivered": 50.6,
                "written": 35.5,
            },
        ),
        (
            calls_of_agents,
            {
                "recorded": 49.2,
                "admitted": 11.0,
                "admitted again": 8.0,
                "counted": 22.5,
                "assembled": 49.7,
                "delivered": 54.0,
                "written": 42.0,
            },
        ),
    ],
)
def test_no_stage_takes_more_calls_than_it_did(work: Work, known: dict[str, float]) -> None:
    way_of_events(work)  # what is cached, or imported late, is there
    found = way_of_events(work)

    assert found.keys() == known.keys()
    grown = {
        stage: f"{found[stage]:.1f} calls an event, not {calls}"
        for stage, calls in known.items()
        if found[stage] > MARGIN * calls
    }
    assert not grown


@pytest.mark.parametrize("work", [steps_of_sagas, calls_of_agents])
def test_event_that_was_read_before_takes_no_more_calls(work: Work) -> None:
    gate = Gate.of(RedactionConfig())
    events = list(recorded(work).all_events)
    for event in events:
        gate.admit(event)
    unread, _ = counted(lambda: [gate.admit(event) for event in events])
    assert all(event.payload is not None for event in events)
    read, admitted = counted(lambda: [gate.admit(event) for event in events])
    assert read == unread
    assert all(one is event for one, event in zip(admitted, events, strict=True))
