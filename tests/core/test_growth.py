"""What content can steer costs in proportion to its size, counted in steps and not in time."""

import sys
import tracemalloc
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider

from hypervisor_observability import EventType, HypervisorEvent, HypervisorEventBus
from hypervisor_observability.cli.tree import EventsByTrace
from hypervisor_observability.config.toml_lines import TooComplex, key_lines
from hypervisor_observability.events.event_types import AGENT_FINISHED
from hypervisor_observability.report import Findings, report_page
from hypervisor_observability.spans.sagas import SagaSpanExporter
from hypervisor_observability.text.terminal_text import escape, fit, wrap
from hypervisor_observability.tree import build_tree, render_tree, tree_to_dict
from hypervisor_otel import OTelSpanSink

TRACE = "ab" * 6


def steps_of(work: Callable[[], object]) -> int:
    """Count the lines of Python that *work* executes."""
    count = 0

    def trace(_frame: FrameType, event: str, _argument: Any) -> Any:
        nonlocal count
        count += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        work()
    finally:
        sys.settrace(before)
    return count


def bytes_of(work: Callable[[], object]) -> int:
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def causal(number: int, parent: int | None) -> str:
    above = "" if parent is None else f"/{parent + 1:08x}"
    return f"{TRACE}/{number + 1:08x}{above}"


def event(kind: EventType, number: int, parent: int | None, **payload: Any) -> HypervisorEvent:
    return HypervisorEvent(
        event_type=kind,
        agent_did=f"did:{number}",
        causal_trace_id=causal(number, parent),
        payload=payload,
    )


def above(number: int) -> int | None:
    return number - 1 if number else None


def failing_agents(size: int, reason: str = "reason {}") -> Iterator[HypervisorEvent]:
    for number in range(size):
        told = reason.format(number)
        yield event(EventType.SESSION_JOINED, number, above(number), name=f"a{number}")
        yield event(AGENT_FINISHED, number, above(number), status="error", reason=told)


def one_reason_for_all(size: int) -> Iterator[HypervisorEvent]:
    return failing_agents(size, "the same")


def steps_within_steps(size: int) -> Iterator[HypervisorEvent]:
    for number in range(size):
        yield event(
            EventType.SAGA_STEP_STARTED, number, above(number), saga_id=f"g{number}", step_id="1"
        )


def steps_beside_steps(size: int) -> Iterator[HypervisorEvent]:
    yield event(EventType.SAGA_CREATED, 0, None, saga_id="g")
    for number in range(1, size):
        for kind in (EventType.SAGA_STEP_STARTED, EventType.SAGA_STEP_FAILED):
            yield event(kind, number, 0, saga_id="g", step_id=f"{number}", reason=f"{number}")


def compensations(size: int) -> Iterator[HypervisorEvent]:
    for number in range(size):
        yield event(EventType.SAGA_STEP_COMMITTED, 0, None, saga_id="g", step_id=f"{number}")
    for number in range(size):
        yield event(EventType.SAGA_COMPENSATING, 0, None, saga_id="g", step_id=f"{number}")
    yield event(EventType.SAGA_COMPLETED, 0, None, saga_id="g", outcome="compensated")


def attempts_of_one_step(size: int) -> Iterator[HypervisorEvent]:
    for number in range(size):
        yield event(EventType.SAGA_STEP_FAILED, 0, None, saga_id="g", step_id="1", attempt=number)
    yield event(EventType.SAGA_ESCALATED, 0, None, saga_id="g")


def circle(size: int) -> Iterator[HypervisorEvent]:
    for number in range(size):
        yield event(EventType.SESSION_JOINED, number, (number + 1) % size)


def many_parents_of_one_span(size: int) -> Iterator[HypervisorEvent]:
    for number in range(size):
        yield event(EventType.SESSION_JOINED, 0, number + 1)


def sagas_side_by_side(size: int) -> Iterator[HypervisorEvent]:
    for kind in (EventType.SAGA_CREATED, EventType.SAGA_STEP_STARTED, EventType.SAGA_COMPLETED):
        for number in range(size):
            yield event(kind, number, None, saga_id=f"g{number}", step_id="1", outcome=f"{number}")


def kinds_without_number(size: int) -> Iterator[HypervisorEvent]:
    for number in range(size):
        yield event(EventType.RING_BREACH_DETECTED, number, None, severity=f"s{number}")


EVENTS = [
    failing_agents,
    one_reason_for_all,
    steps_within_steps,
    steps_beside_steps,
    compensations,
    attempts_of_one_step,
    circle,
    many_parents_of_one_span,
    sagas_side_by_side,
    kinds_without_number,
]
Events = Callable[[int], Iterator[HypervisorEvent]]


def draw(events: list[HypervisorEvent]) -> None:
    render_tree(build_tree(events, TRACE))


def write_as_dict(events: list[HypervisorEvent]) -> None:
    tree_to_dict(build_tree(events, TRACE))


def sort_by_trace(events: list[HypervisorEvent]) -> None:
    EventsByTrace().add(events)


def report(events: list[HypervisorEvent]) -> None:
    report_page(Findings.of(events), "j")


def export_spans(events: list[HypervisorEvent]) -> None:
    bus = HypervisorEventBus()
    SagaSpanExporter(bus, OTelSpanSink(TracerProvider()))
    for one in events:
        bus.emit(one)


@pytest.mark.parametrize("work", [draw, write_as_dict, sort_by_trace, report, export_spans])
@pytest.mark.parametrize("events", EVENTS)
def test_fourfold_events_take_fourfold_steps(
    work: Callable[[list[HypervisorEvent]], None], events: Events
) -> None:
    work(list(events(10)))  # what is done once
    small, large = list(events(150)), list(events(600))

    assert steps_of(lambda: work(large)) < 5 * steps_of(lambda: work(small))


@pytest.mark.parametrize("work", [draw, report])
@pytest.mark.parametrize("events", EVENTS)
def test_fourfold_events_take_at_most_fourfold_memory(
    work: Callable[[list[HypervisorEvent]], None], events: Events
) -> None:
    work(list(events(10)))
    small, large = list(events(300)), list(events(1_200))

    # Containers grow in steps: a third more is no growth of another order.
    assert bytes_of(lambda: work(large)) < 6 * bytes_of(lambda: work(small))


TEXTS = ["a", "\u0301", "a\u0301", "\x1b", "\u3164", "日", " ", "a ", "\\"]


def wrap_it(text: str) -> None:
    wrap(escape(text), 40, max_lines=3)


def fit_it(text: str) -> None:
    fit(text, 60)


@pytest.mark.parametrize("work", [escape, fit_it, wrap_it])
@pytest.mark.parametrize("part", TEXTS)
def test_fourfold_text_takes_fourfold_steps(work: Callable[[str], object], part: str) -> None:
    small, large = part * 1_000, part * 4_000

    assert steps_of(lambda: work(large)) <= 4 * steps_of(lambda: work(small)) + 10


TOML = ["a=1\n", "[a]\n", "[[a]]\n", "x=[", "a.", '"', "'''", '"\\', "x={", "a.b=1,", "[[a.b]]\n"]


@pytest.mark.parametrize("part", TOML)
def test_fourfold_configuration_takes_fourfold_steps(part: str) -> None:
    def scan(text: str) -> None:
        try:
            key_lines(text)
        except TooComplex:
            pass

    small, large = part * 50, part * 200

    assert steps_of(lambda: scan(large)) < 5 * steps_of(lambda: scan(small)) + 50
