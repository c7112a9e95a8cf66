"""What the tests of an exporting plugin hand to it: events, spans and metrics."""

from collections.abc import Iterable, Sequence
from contextlib import nullcontext, suppress

from ..bus.event_bus import HypervisorEventBus
from ..config import DeliveryConfig
from ..events.event import HypervisorEvent
from ..events.event_types import EventType
from ..metrics.families import MetricFamily
from ..metrics.registry import MetricsRegistry
from ..recorder import Recorder
from ..spans.assembly import SpanAssembler
from ..spans.record import FinishedSpan

FAST = DeliveryConfig(interval_seconds=0.01, metrics_interval_seconds=0.05)
"""Delivers at once."""

HOSTILE = (
    "Zoë Müller 漢字 🤖",
    "rtl \u202eevil\u202c zero\u200bwidth",
    "line\nbreak\r\nand\ttab",
    "quote\" apostrophe' back\\slash",
    "nul\x00bell\x07escape\x1b[31m",
    "lone surrogate \ud800 here",
    "<script>alert(1)</script>&amp;",
    "%s %d {0} {name} ${HOME} `id`",
    "#|:@,;=* statsd|c|#a:b",
    "../../etc/passwd",
    "x" * 10_000,
    "",
)
"""Names that agents give themselves."""


def ids(count: int, group: int = 0) -> list[str]:
    """Give ids by which what arrives is known again; *group* tells one test's apart."""
    return [f"c0de{group:04x}{number:08x}" for number in range(count)]


def event(id_: str, name: str = "") -> HypervisorEvent:
    """Give an event that holds *id_* as its id and in the agent's.

    Args:
        id_: One of ``ids``.
        name: What the agent calls itself.
    """
    return HypervisorEvent(
        event_id=id_,
        event_type=EventType.RING_BREACH_DETECTED,
        session_id="session-contract",
        agent_did=f"did:contract:{id_}{name}",
        causal_trace_id=f"{id_[-12:]}/00000001",
        payload={"ring": 3, "attempted_tool": "shell", "name": name, "nested": {"list": [1, None]}},
    )


def emit(bus: HypervisorEventBus, of: Iterable[str], name: str = "", *, work: bool) -> None:
    """Emit an event for each id.

    Args:
        bus: Where to.
        of: The ids.
        name: What each agent calls itself.
        work: Whether to emit the beginning and end of an agent around each, which makes a span.
    """
    recorder = Recorder(bus)
    for id_ in of:
        around = recorder.agent(f"did:contract:{id_}{name}") if work else nullcontext()
        with around:
            bus.emit(event(id_, name))


def sample_events(of: Iterable[str]) -> Sequence[HypervisorEvent]:
    """Give an event for each id."""
    return [event(id_) for id_ in of]


def sample_saga(recorder: Recorder, agent: str = "did:sample:planner") -> None:
    """Record what an agent does: a saga of two steps, the second of which fails and is undone."""
    with (
        recorder.session("session-sample"),
        recorder.agent(agent, ring=2),
        suppress(LookupError),
        recorder.saga("book trip", compensate=True) as saga,
    ):
        with saga.step("flight", undo=lambda: None) as step:
            step.result = "booked"
        with saga.step("hotel"):
            raise LookupError("no room is free")


def sample_spans(of: Iterable[str]) -> Sequence[FinishedSpan]:
    """Give a span of an agent for each id."""
    bus = HypervisorEventBus()
    emit(bus, of, work=True)
    assembler = SpanAssembler()
    return [span for one in bus.all_events for span in assembler.feed(one)]


def sample_metrics(of: Iterable[str]) -> Sequence[MetricFamily]:
    """Give the metrics after an event for each id."""
    registry = MetricsRegistry()
    registry.observe(sample_events(of))
    return registry.collect()
