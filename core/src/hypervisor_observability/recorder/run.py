"""Runs: what holds the agents of one task, crew, workflow or graph together."""

from collections.abc import Mapping

from attrs import field, frozen

from ..causality.causal_trace import CausalTraceId
from ..causality.propagation import Extracted
from ..events import ids
from .attributes import set_attributes
from .event_writer import EventWriter
from .kinds import KINDS
from .opened import Opened
from .place import current_place, link_text
from .work import open_work


@frozen(eq=False)
class Run:
    """A run, while it lasts.

    Attributes:
        name: What is run; of low cardinality.
        run_id: Unique.
        trace: Its own causal id.
    """

    name: str
    run_id: str
    trace: CausalTraceId
    _attributes: dict[str, object] = field(init=False, factory=dict)

    set = set_attributes


def open_run(
    writer: EventWriter,
    name: str,
    run_id: str | None,
    kind: str,
    caller: Extracted | None,
    attributes: Mapping[str, object] | None,
) -> Opened[Run]:
    """Begin a run; see ``Recorder.run``."""
    trace, name = writer.next_trace(caller), ids.as_text(name)
    run_id = f"{name}-{trace.span_id}" if run_id is None else ids.as_text(run_id)
    payload = {
        "name": name,
        "run_id": run_id,
        "kind": kind,
        "caller_trace": link_text(caller),
        "attributes": attributes,
    }
    run = Run(name, run_id, trace)
    return open_work(writer, KINDS["run"], current_place(), trace, payload, run)
