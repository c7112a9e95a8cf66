"""The source for agent-hypervisor while its framework works, and what is seen of that."""

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from hypervisor_agent_hypervisor import AgentHypervisorSource
from hypervisor_observability import EventType, HypervisorEvent, HypervisorEventBus, Observability
from hypervisor_observability.config.plugin_tables import Content
from hypervisor_observability.testing import check_payloads
from hypervisor_observability.tree import build_tree
from hypervisor_observability.tree.outline import outline
from hypervisor_observability.tree.work import Work

NAME = "agent-hypervisor"


@contextmanager
def governed(content: Content = "names", errors: int = 0) -> Iterator[HypervisorEventBus]:
    """Have the source look on; only *errors* of it may fail, and what it writes is valid."""
    source = AgentHypervisorSource(content=content)
    with Observability(plugins=[source]) as observability:
        assert observability.states() == {NAME: "running"}
        yield observability.bus
        told = observability.status()["sources"][NAME]
        assert told == {"state": "running", "errors": errors}
    check_payloads(observability.bus.all_events)


def import_quietly(name: str) -> Any:
    """Import a module that warns that it is on its way out, as release 5 does."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        __import__(name)
    return sys.modules[name]


def types_of(bus: HypervisorEventBus) -> list[str]:
    """Give the types of all events, oldest first."""
    return [event.event_type.value for event in bus.all_events]


def all_of(bus: HypervisorEventBus, kind: str) -> list[HypervisorEvent]:
    """Give the events of a type."""
    return bus.query(event_type=EventType.of(kind))


def only(bus: HypervisorEventBus, kind: str) -> HypervisorEvent:
    """Give the one event of a type."""
    (event,) = all_of(bus, kind)
    return event


def trees(bus: HypervisorEventBus) -> list[str]:
    """Give what each trace shows, a line for a piece of work, indented below what caused it."""
    traces = dict.fromkeys(
        (event.causal_trace_id or "").partition("/")[0] for event in bus.all_events
    )
    roots = [
        root for trace in traces if trace for root in outline(build_tree(bus.all_events, trace))
    ]
    return [line for root in roots for line in _lines(root, "")]


def _lines(work: Work, indent: str) -> Iterator[str]:
    yield f"{indent}{work.kind} {work.title or work.agent_did} {work.word}"
    for child in work.children:
        yield from _lines(child, f"{indent}  ")
