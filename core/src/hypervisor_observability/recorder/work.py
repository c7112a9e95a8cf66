"""Work of a kind, from the event that begins it to the one that says how it ended."""

import time
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from ..causality.causal_trace import CausalTraceId
from .attributes import HasAttributes, attributes_set
from .event_writer import EventWriter
from .failure import how_it_ended
from .kinds import Kind
from .opened import Opened
from .place import Place

SubjectT = TypeVar("SubjectT", bound=HasAttributes)


def _nothing() -> dict[str, object]:
    return {}


def open_work(
    writer: EventWriter,
    kind: Kind,
    place: Place,
    trace: CausalTraceId,
    payload: Mapping[str, Any],
    subject: SubjectT,
    told: Callable[[], dict[str, object]] = _nothing,
    on_value: Callable[[], None] | None = None,
) -> Opened[SubjectT]:
    """Begin work.

    Args:
        writer: Writes its events.
        kind: Of the work.
        place: Where it begins.
        trace: Its own causal id.
        payload: Of its beginning.
        subject: What ``as`` gives.
        told: Gives what the code in it told of its end; goes before what is known otherwise.
        on_value: As of ``Opened``.
    """
    inside = place.within(writer.write(kind.begins, place, trace, payload))
    began = time.monotonic()

    def close(error: BaseException | None) -> None:
        ended = kind.names_in(payload)
        ended["duration_seconds"] = time.monotonic() - began
        ended.update(how_it_ended(error))
        ended.update(told())
        ended["attributes"] = attributes_set(subject)
        writer.write(kind.ends, inside, trace, ended)

    return Opened(subject, writer.enter(inside, trace), writer, close, on_value=on_value)
