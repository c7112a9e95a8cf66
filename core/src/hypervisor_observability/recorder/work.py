"""Work of a kind, from the event that begins it to the one that says how it ended."""

import time
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from ..causality.causal_trace import CausalTraceId
from .attributes import HasAttributes, attributes_set
from .calls_here import OpenCall
from .event_writer import EventWriter
from .failure import how_it_ended
from .kinds import Kind
from .opened import Opened
from .place import Place

SubjectT = TypeVar("SubjectT", bound=HasAttributes)


def open_work(
    writer: EventWriter,
    kind: Kind,
    place: Place,
    trace: CausalTraceId,
    payload: Mapping[str, Any],
    subject: SubjectT,
    told: Callable[[], dict[str, object]] | None = None,
    on_value: Callable[[], None] | None = None,
    call: OpenCall | None = None,
) -> Opened[SubjectT]:
    """Begin work.

    Args:
        writer: Writes its events.
        kind: Of the work.
        place: Where it begins.
        trace: Its own causal id.
        payload: Of its beginning.
        subject: What ``as`` gives.
        told: Gives what the code in it told of its end, which goes before what is known otherwise
            and holds no None; None: nothing.
        on_value: As of ``Opened``.
        call: What ends with it.
    """
    causal_id = trace.full_id
    names = kind.names_in(payload) if kind.named_by else None
    known = {key: value for key, value in payload.items() if value is not None}
    inside = place.within(writer.write_known(kind.begins, place, causal_id, known))
    began = time.monotonic()

    def close(error: BaseException | None) -> None:
        if call is not None:
            call.end()
        ended = how_it_ended(error)
        ended["duration_seconds"] = time.monotonic() - began
        if names is not None:
            ended.update(names)
        if told is not None:
            ended.update(told())
        if subject._attributes:
            ended["attributes"] = attributes_set(subject)
        writer.write_known(kind.ends, inside, causal_id, ended)

    return Opened(subject, writer.enter(inside, trace), writer, close, on_value=on_value)
