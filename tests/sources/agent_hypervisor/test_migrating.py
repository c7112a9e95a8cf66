"""What the page for people who come from agent-hypervisor says of both packages holds."""

import dataclasses
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Any
from uuid import UUID

import pytest

import hypervisor.observability as theirs
import hypervisor_observability as ours
from tests.sources.pages import PAGES, run_page

PAGE = PAGES.parent / "how-to" / "migrating.md"
TEXT = PAGE.read_text("utf-8")

pytestmark = pytest.mark.filterwarnings("default")


def test_page_is_run_as_it_stands(tmp_path: Path) -> None:
    run_page(PAGE, tmp_path)


def subscriber_raises(o: ModuleType) -> object:
    bus = o.HypervisorEventBus()

    def refuse(_: object) -> None:
        raise PermissionError

    bus.subscribe(None, refuse)
    bus.emit(o.HypervisorEvent())
    return bus.handler_errors


def emit_no_event(o: ModuleType) -> object:
    bus = o.HypervisorEventBus()
    bus.emit({})
    return bus.refused


def naive(o: ModuleType) -> object:
    return o.HypervisorEvent(timestamp=datetime(2026, 1, 1)).timestamp.tzinfo  # noqa: DTZ001 - that is the point


def write_payload(o: ModuleType) -> object:
    event = o.HypervisorEvent(payload={"a": 1})
    copied = dict(event.payload)
    copied["a"] = 3
    event.payload["a"] = 2
    return event.payload["a"]


def change_dict(o: ModuleType) -> object:
    given = {"a": 1}
    event = o.HypervisorEvent(payload=given)
    given["a"] = 2
    return event.payload["a"]


def payload_values(o: ModuleType) -> object:
    when = datetime(2026, 1, 1, tzinfo=UTC)
    payload = o.HypervisorEvent(payload={"when": when, "set": {1}, "type": int}).payload
    kinds = [type(payload[key]).__name__ for key in ("when", "set")]
    return [*kinds, "_tag" in payload["type"] if not isinstance(payload["type"], type) else "type"]


def hashed(o: ModuleType) -> object:
    return isinstance(hash(o.HypervisorEvent()), int)


def as_dataclass(o: ModuleType) -> object:
    event = dataclasses.replace(o.HypervisorEvent(), agent_did="did:a")
    return event.agent_did, len(dataclasses.fields(event)) >= 8, dataclasses.is_dataclass(event)


def asdict(o: ModuleType) -> object:
    payload = dataclasses.asdict(o.HypervisorEvent(payload={"a": 1}))["payload"]
    payload["a"] = 2
    return payload["a"]


def trace_id(text: str) -> Callable[[ModuleType], object]:
    return lambda o: o.CausalTraceId(trace_id=text).trace_id == text


def as_causal_id(o: ModuleType) -> object:
    bus = o.HypervisorEventBus()
    bus.emit(o.HypervisorEvent(causal_trace_id="run:1.2"))
    return bus.all_events[0].causal_trace_id


def parsed_ancestor(o: ModuleType) -> object:
    lead = o.CausalTraceId()
    return lead.is_ancestor_of(o.CausalTraceId.from_string(lead.child().full_id))


def uncle(o: ModuleType) -> object:
    lead = o.CausalTraceId()
    return lead.child().is_ancestor_of(lead.child().child())


def keeps_nothing(o: ModuleType) -> object:
    bus = o.HypervisorEventBus(max_events=0)
    bus.emit(o.HypervisorEvent())
    return bus.event_count


def bounded(o: ModuleType) -> object:
    bus = o.HypervisorEventBus(max_events=3)
    for session in ("quiet", *["loud"] * 5):
        bus.emit(o.HypervisorEvent(session_id=session))
    return len(bus.query_by_session("quiet")), bus.event_count


def limit_of_zero(o: ModuleType) -> object:
    bus = o.HypervisorEventBus()
    bus.emit(o.HypervisorEvent())
    return len(bus.query(limit=0))


class Exporter:
    """What the exporter of agent-sre offers."""

    def __init__(self) -> None:
        self.added: list[float] = []

    def inc_counter(self, _: str, value: float = 1.0, **__: object) -> None:
        self.added.append(value)

    def set_gauge(self, *_: object, **__: object) -> None:
        pass


def exported_twice(o: ModuleType) -> object:
    bus, exporter = o.HypervisorEventBus(), Exporter()
    collector = o.RingMetricsCollector(bus)
    for _ in range(2):
        bus.emit(o.HypervisorEvent(event_type=o.EventType.RING_BREACH_DETECTED))
        collector.export_to_prometheus(exporter)
    return exporter.added


def private_names(o: ModuleType) -> object:
    bus = o.HypervisorEventBus()
    return bus._max_events, len(o.RingMetricsCollector(bus)._transition_counts)


ROWS: tuple[tuple[str, Callable[[ModuleType], object], Any, Any], ...] = (
    ("a subscriber raises", subscriber_raises, PermissionError, 1),
    ("emit something that is not an event", emit_no_event, AttributeError, 1),
    ("give a naive timestamp", naive, None, ValueError),
    ("write to `event.payload`", write_payload, 2, TypeError),
    ("change the dict after the event is made", change_dict, 2, 1),
    (
        "put a datetime into a payload",
        payload_values,
        ["datetime", "set", "type"],
        ["str", "frozenset", True],
    ),
    ("hash an event", hashed, TypeError, True),
    (
        "`dataclasses.replace`, `fields`, `is_dataclass`",
        as_dataclass,
        ("did:a", True, True),
        ("did:a", True, True),
    ),
    ("`dataclasses.asdict`", asdict, 2, TypeError),
    ("a trace id that is a UUID", trace_id(str(UUID(int=7))), True, True),
    ("a trace id with `:` or `.`", trace_id("run:1.2"), True, ValueError),
    *(
        (
            "a trace id of over 64 characters, an empty one, all zeros",
            trace_id(text),
            True,
            ValueError,
        )
        for text in ("a" * 65, "", "0" * 12)
    ),
    ("such an id as an event's `causal_trace_id`", as_causal_id, "run:1.2", "run:1.2"),
    (
        "parse an id of four parts",
        lambda o: o.CausalTraceId.from_string("a1/b1/c1/d1").full_id,
        "a1/b1/c1",
        ValueError,
    ),
    (
        "parse an id with a parent",
        lambda o: o.CausalTraceId.from_string("a1/b1/c1").depth,
        0,
        1,
    ),
    ("`is_ancestor_of` a descendant that was parsed", parsed_ancestor, False, True),
    ("`is_ancestor_of` a child of a sibling", uncle, True, False),
    ("`max_events=0`", keeps_nothing, 0, ValueError),
    ("more than `max_events` events", bounded, (1, 3), (0, 3)),
    ("`query(limit=0)`", limit_of_zero, 1, 0),
    ("`export_to_prometheus` for the second time", exported_twice, [1.0, 2.0], [1.0, 1.0]),
    (
        "private names: `_transition_counts`, `_max_events`",
        private_names,
        (100_000, 0),
        AttributeError,
    ),
)


@pytest.mark.parametrize(("row", "act", "there", "here"), ROWS)
def test_row_of_the_table_holds_for_both(
    row: str, act: Callable[[ModuleType], object], there: object, here: object
) -> None:
    assert f"| {row} |" in TEXT
    for package, expected in ((theirs, there), (ours, here)):
        if isinstance(expected, type) and issubclass(expected, Exception):
            with pytest.raises(expected):
                act(package)
        else:
            assert act(package) == expected


def test_every_row_of_the_table_is_tested() -> None:
    table = TEXT.partition("| what you do |")[2]
    rows = [line.split(" | ")[0].removeprefix("| ") for line in table.splitlines()[2:]]

    assert {row for row in rows if row} == {row for row, *_ in ROWS}


def test_bridge_counts_what_it_cannot_take() -> None:
    bus, observability = theirs.HypervisorEventBus(), ours.Observability()
    bus.subscribe(None, observability.bus.emit)

    bus.emit(theirs.HypervisorEvent(timestamp=datetime(2026, 1, 1)))  # noqa: DTZ001 - that is the point
    bus.emit(theirs.HypervisorEvent(causal_trace_id="run:1.2"))

    assert (observability.bus.refused, observability.bus.emitted) == (1, 1)


@pytest.mark.parametrize(
    "module", ["event_bus", "causal_trace", "prometheus_collector", "saga_span_exporter"]
)
def test_names_of_their_submodules_are_ours_too(module: str) -> None:
    there = __import__(f"hypervisor.observability.{module}", fromlist=["*"])
    names = [
        name
        for name, value in vars(there).items()
        if not name.startswith("_") and getattr(value, "__module__", "") == there.__name__
    ]

    assert names
    assert [name for name in names if not hasattr(ours, name)] == []
