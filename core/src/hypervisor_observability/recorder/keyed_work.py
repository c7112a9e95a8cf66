"""Work under keys, from beginning to end; ``keyed`` keeps the faults of it to itself."""

import time
from collections.abc import Hashable, Mapping
from enum import Enum
from typing import Any, Final

from attrs import field, frozen

from ..causality.causal_trace import CausalTraceId
from ..events import clock, ids
from ..events.event import HypervisorEvent
from ..events.event_types import EventType
from .calls_here import begin_call
from .event_writer import EventWriter
from .failure import how_it_ended
from .keyed_table import MAX_OPEN, Ending, KeyedTable, OpenWork, Stand
from .kinds import KINDS
from .opened import Opened
from .place import NOWHERE, Place, current_place


class Here(Enum):
    """Stands for a key; see ``HERE``."""

    HERE = "here"


HERE: Final = Here.HERE
"""As a ``parent_key``: whatever scope the running code is in; none where it is in none."""

_WORDS = frozenset({"status", "outcome", "phase"})
_EXPIRED = Ending({"status": "expired", "reason": f"more than {MAX_OPEN} were open"})


@frozen(eq=False)
class KeyedWork:
    """Writes work under keys.

    Attributes:
        writer: Writes the events.
        table: What is open.
    """

    writer: EventWriter
    table: KeyedTable = field(factory=KeyedTable)


@frozen
class KeyedSaga:
    """A saga under a key, as code that runs in it sees it."""

    saga_id: str


def begin(
    keyed: KeyedWork,
    kind_name: str,
    key: Hashable,
    parent_key: Hashable | None,
    own: Stand,
    trace: CausalTraceId | str | None,
    timestamp_ns: int | None,
    payload: dict[str, Any],
    activate: bool,  # noqa: FBT001 - inside; the recorder takes it by name
) -> CausalTraceId | None:
    """Record that work began; see ``open_under_key``. *own* is what was told of its place."""
    table, writer = keyed.table, keyed.writer
    known = table.open_under(key)
    if known is not None:
        return known.stand.trace
    kind = KINDS[kind_name]
    place, own_trace = _own_stand(keyed, kind_name, key, parent_key, own, trace, payload)
    event = writer.make(kind.begins, place, own_trace, payload, timestamp_ns)
    stand = Stand(place.within(event), own_trace)
    began = time.monotonic() if writer.checked_ns(timestamp_ns) is None else None
    work = OpenWork(kind, stand, kind.names_in(payload), event.timestamp_ns, began)
    there, expired = table.add(key, work)
    if there is not work:
        return there.stand.trace
    try:
        writer.emit(event)
        if kind_name == "agent" and payload.get("ring") is not None:
            assigned = {"ring": payload["ring"]}
            ring = writer.make(EventType.RING_ASSIGNED, *stand, assigned, timestamp_ns)
            writer.emit(ring)
        if kind_name in ("tool", "model"):
            name = ids.as_text(payload.get(kind.named_by[0]))
            work.call = begin_call(writer.identity, kind_name, name, key)
        if activate:
            work.standing = writer.enter(*stand)
    finally:
        ending = table.written(work)
        if ending is not None:
            end(keyed, work, ending)
        if expired is not None and not table.defer(expired, _EXPIRED):
            end(keyed, expired, _EXPIRED)
    return own_trace


def _own_stand(
    keyed: KeyedWork,
    kind_name: str,
    key: Hashable,
    parent_key: Hashable | None,
    own: Stand,
    told: CausalTraceId | str | None,
    payload: dict[str, Any],
) -> Stand:
    """Give where work begins, and name it in *payload* where nobody did."""
    parent = stand_of(keyed, parent_key)
    place = place_of(parent, own.place.session_id, own.place.agent_did)
    trace = told_trace(keyed, told, parent.trace)
    if kind_name == "session":
        if own.place.session_id is None:
            session_id = f"session-{ids.event_id_text(ids.next_number())}"
            place = place._replace(session_id=session_id)
        return Stand(place, trace or parent.trace)
    if trace is None:
        trace = keyed.writer.new_root() if parent.trace is None else parent.trace.child()
    name = payload.get("name")
    if kind_name == "agent" and own.place.agent_did is None:
        place = place._replace(agent_did=ids.as_text(key if name is None else name))
    if kind_name == "run":
        _name(payload, "run_id", kind_name, name, trace)
    elif kind_name == "saga":
        _name(payload, "saga_id", kind_name, name, trace)
        place = place._replace(saga=KeyedSaga(ids.as_text(payload["saga_id"])))
    elif kind_name in ("fan_out", "step", "compensation"):
        _fill(payload, "saga_id", None if place.saga is None else place.saga.saga_id)
        if kind_name == "fan_out":
            _name(payload, "group_id", kind_name, name, trace)
        else:
            _fill(payload, "step_id", payload.get("step_action"))
        if kind_name == "compensation":
            _fill(payload, "phase", "started")
    return Stand(place, trace)


def _fill(payload: dict[str, Any], key: str, value: object) -> None:
    """Add what nobody told."""
    if payload.get(key) is None:
        payload[key] = value


def _name(
    payload: dict[str, Any], key: str, kind_name: str, name: object, trace: CausalTraceId
) -> None:
    """Draw an id where nobody told one."""
    if payload.get(key) is None:
        payload[key] = f"{ids.as_text(kind_name if name is None else name)}-{trace.span_id}"


def end(keyed: KeyedWork, work: OpenWork, ending: Ending) -> HypervisorEvent | None:
    """Record how work ended that was taken out of the table."""
    work.let_go()
    told = {**work.names, **ending.told}
    kind = work.kind.end_for(told)
    writer = keyed.writer
    if work.kind.timed and "duration_seconds" not in told:
        told["duration_seconds"] = _seconds_of(work, writer.checked_ns(ending.timestamp_ns))
    event = writer.make(kind, *work.stand, told, ending.timestamp_ns)
    writer.emit(event)
    return event


def _seconds_of(work: OpenWork, end_ns: int | None) -> float:
    """Tell how long *work* took; *end_ns* is when it ended, None: now."""
    if end_ns is None and work.began is not None:
        return time.monotonic() - work.began
    return max(0, (clock.now_ns() if end_ns is None else end_ns) - work.start_ns) / 1e9


def stand_in(keyed: KeyedWork, key: Hashable) -> Opened[CausalTraceId | None]:
    """Enter what is or was open under *key*; see ``stand_in_key``."""
    place, trace = _found(keyed, key) or stand_of(keyed, HERE)
    return Opened(trace, keyed.writer.enter(place, trace), keyed.writer, lambda _: None)


def stand_of(keyed: KeyedWork, key: Hashable | None) -> Stand:
    """Give where what belongs to *key* stands: nowhere, where that is None or unknown."""
    if key is None:
        return Stand(NOWHERE, None)
    if key is HERE:
        return Stand(current_place(), keyed.writer.trace_here())
    return _found(keyed, key) or Stand(NOWHERE, None)


def _found(keyed: KeyedWork, key: Hashable) -> Stand | None:
    """Give where what belongs to *key* stands; None where it is unknown, or no key at all."""
    try:
        return keyed.table.find(key)
    except Exception as error:  # noqa: BLE001 - what cannot be hashed or compared
        keyed.writer.keyed_failed(error)
        return None


def place_of(parent: Stand, session_id: object, agent_did: object) -> Place:
    """Give the place of what hangs below *parent*, with what was told of its own."""
    place = parent.place
    if session_id is None and agent_did is None:
        return place
    # In a third of the time that _replace takes.
    return Place(
        place.session_id if session_id is None else ids.as_text(session_id),
        place.agent_did if agent_did is None else ids.as_text(agent_did),
        place.opened_by,
        place.saga,
    )


def told_trace(
    keyed: KeyedWork, told: CausalTraceId | str | None, parent: CausalTraceId | None
) -> CausalTraceId | None:
    """Give the id that was told, below its parent's where that is of the same trace."""
    if told is None:
        return None
    if not isinstance(told, CausalTraceId):
        try:
            told = CausalTraceId.from_string(told)
        except (TypeError, ValueError) as error:
            keyed.writer.keyed_failed(error)
            return None
    below = parent is not None and told.parent_span_id is None and told.trace_id == parent.trace_id
    if parent is None or not below or told.span_id == parent.span_id:
        return told
    return CausalTraceId(told.trace_id, told.span_id, parent.span_id, parent.depth + 1)


def ending_of(
    error: object, payload: dict[str, Any], attributes: Mapping[str, object] | None
) -> dict[str, Any]:
    """Give what the end of work says."""
    if error is None or issubclass(type(error), BaseException):
        told: dict[str, Any] = how_it_ended(error)  # type: ignore[arg-type]  # an exception by its type
    else:
        text = ids.as_text(error)
        told = {"status": "error", "error": text, "reason": text}
    told.update({name: value for name, value in payload.items() if value is not None})
    for name in _WORDS & told.keys():
        told[name] = ids.as_text(told[name])
    told["attributes"] = attributes
    return told
