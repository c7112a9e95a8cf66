"""Work under keys: for who learns of its beginning and its end in separate calls.

A framework's callbacks come in any thread, in any context, in any order, twice or not at all. So
parents are told by their keys, nothing is taken from the running code, and nothing raises. These
functions are methods of ``Recorder``.
"""

from collections.abc import Hashable, Mapping
from enum import Enum
from typing import Any, Final, Protocol

from attrs import frozen

from ..causality.causal_trace import CausalTraceId
from ..causality.standing import leave
from ..events import clock, ids
from ..events.event import HypervisorEvent
from ..events.event_types import EventType
from .event_writer import EventWriter
from .failure import how_it_ended
from .keyed_table import MAX_OPEN, Ending, KeyedTable, OpenWork, Stand
from .kinds import KINDS, KindName
from .opened import Opened
from .place import NOWHERE, Place, current_place
from .scope import Scope


class Here(Enum):
    """Stands for a key; see ``HERE``."""

    HERE = "here"


HERE: Final = Here.HERE
"""As a ``parent_key``: whatever scope the running code is in; none where it is in none."""

_WORDS = frozenset({"status", "outcome", "phase"})
_EXPIRED = Ending({"status": "expired", "reason": f"more than {MAX_OPEN} were open"})


class WritesByKey(Protocol):
    """What writes work under keys."""

    _writer: EventWriter
    _keyed: KeyedTable


@frozen
class KeyedSaga:
    """A saga under a key, as code that runs in it sees it."""

    saga_id: str


def open_under_key(
    self: WritesByKey,
    kind: KindName,
    key: Hashable,
    /,
    parent_key: Hashable | None = None,
    *,
    session_id: str | None = None,
    agent_did: str | None = None,
    trace: CausalTraceId | str | None = None,
    timestamp_ns: int | None = None,
    attributes: Mapping[str, object] | None = None,
    activate: bool = False,
    **payload: object,
) -> CausalTraceId | None:
    """Record that work began, until ``close`` is given its key. Never raises.

    Works from any thread. What is open under the key already stays, and nothing is recorded. At
    most 10,000 are open at once: beyond, the oldest is closed with the status ``expired``.

    Args:
        kind: ``session``, ``run``, ``agent``, ``tool``, ``model``, ``saga``, ``step`` or
            ``compensation``.
        key: Tells it apart from all that is open: what the framework calls it by.
        parent_key: The work that caused it, which may have ended. None: nothing did. ``HERE``:
            the scope that the running code is in.
        session_id: By default its parent's; of a session its own.
        agent_did: By default its parent's; of an agent its own.
        trace: Its causal id, or the ``full_id`` of that, where it has one already; by default
            one below its parent's. A session has its parent's.
        timestamp_ns: When it began, in nanoseconds since the epoch; by default now.
        attributes: Of your own.
        activate: Whether the running code stands in the work until its end.
        payload: What the event says beside that; see the table of payloads.

    Returns:
        Its causal id; None where it has none or could not be recorded, which is logged.
    """
    try:
        own = Stand(NOWHERE._replace(session_id=session_id, agent_did=agent_did), None)
        payload["attributes"] = attributes
        return _open(self, kind, key, parent_key, own, trace, timestamp_ns, payload, activate)
    except Exception as error:  # noqa: BLE001 - no fault of recording reaches the framework
        self._writer.keyed_failed(error)
        return None


def close_key(
    self: WritesByKey,
    key: Hashable,
    /,
    error: BaseException | str | None = None,
    *,
    timestamp_ns: int | None = None,
    attributes: Mapping[str, object] | None = None,
    **payload: object,
) -> HypervisorEvent | None:
    """Record that what is open under *key* has ended. Never raises; may come from any thread.

    Args:
        key: As ``open`` was given it. Where nothing is open under it, nothing is recorded.
        error: What ended it; None: it went well. A cancellation gives the status ``cancelled``.
        timestamp_ns: When, in nanoseconds since the epoch; by default now.
        attributes: Of your own.
        payload: What the event says beside that; a ``status`` overrules that of *error*.

    Returns:
        The event; None if there is none.
    """
    try:
        # All that a fault may come of is done before the work is taken out.
        ending = Ending(_told(error, payload, attributes), timestamp_ns)
        work = self._keyed.take(key)
        if work is None or self._keyed.defer(work, ending):
            return None
        return _end(self, work, ending)
    except Exception as fault:  # noqa: BLE001 - likewise
        self._writer.keyed_failed(fault)
        return None


def record_point(
    self: WritesByKey,
    event_type: EventType | str,
    /,
    parent_key: Hashable | None = None,
    *,
    session_id: str | None = None,
    agent_did: str | None = None,
    trace: CausalTraceId | str | None = None,
    timestamp_ns: int | None = None,
    **payload: object,
) -> HypervisorEvent | None:
    """Record an event without an extent. Never raises; may come from any thread.

    Args:
        event_type: Of the event.
        parent_key: As of ``open``: the work that it belongs to.
        session_id: By default that of the work.
        agent_did: Likewise.
        trace: Likewise.
        timestamp_ns: As of ``open``.
        payload: What the event says.

    Returns:
        The event; None if it could not be recorded, which is logged.
    """
    try:
        parent = _stand_of(self, parent_key)
        place = _place(parent, session_id, agent_did)
        own = _told_trace(self, trace, parent.trace) or parent.trace
        kind = EventType.of(event_type)
        event = self._writer.make(kind, place, own, payload, timestamp_ns)
        self._writer.emit(event)
    except Exception as error:  # noqa: BLE001 - likewise
        self._writer.keyed_failed(error)
        return None
    return event


def stand_in_key(self: WritesByKey, key: Hashable, /) -> Scope[CausalTraceId | None]:
    """Have the code of a block stand in what is or was open under *key*.

    So that what it records belongs to that. An unknown key leaves it where it is.
    """
    return Scope(lambda: _inside(self, key))


def _open(
    self: WritesByKey,
    kind_name: str,
    key: Hashable,
    parent_key: Hashable | None,
    own: Stand,
    trace: CausalTraceId | str | None,
    timestamp_ns: int | None,
    payload: dict[str, Any],
    activate: bool,  # noqa: FBT001 - inside; the recorder takes it by name
) -> CausalTraceId | None:
    keyed, writer = self._keyed, self._writer
    known = keyed.open_under(key)
    if known is not None:
        return known.stand.trace
    kind = KINDS[kind_name]
    parent = _stand_of(self, parent_key)
    place = _place(parent, own.place.session_id, own.place.agent_did)
    own_trace = _told_trace(self, trace, parent.trace)
    if kind_name == "session":
        own_trace = own_trace or parent.trace
        if own.place.session_id is None:
            session_id = f"session-{ids.event_id_text(ids.next_number())}"
            place = place._replace(session_id=session_id)
    elif own_trace is None:
        own_trace = writer.new_root() if parent.trace is None else parent.trace.child()
    place = _named(kind_name, place, own_trace, payload)
    event = writer.make(kind.begins, place, own_trace, payload, timestamp_ns)
    stand = Stand(place.within(event), own_trace)
    work = OpenWork(kind, stand, kind.names_in(payload), event.timestamp_ns)
    there, expired = keyed.add(key, work)
    if there is not work:
        return there.stand.trace
    try:
        writer.emit(event)
        if kind_name == "agent" and payload.get("ring") is not None:
            assigned = {"ring": payload["ring"]}
            ring = writer.make(EventType.RING_ASSIGNED, *stand, assigned, timestamp_ns)
            writer.emit(ring)
        if activate:
            work.standing = writer.enter(*stand)
    finally:
        ending = keyed.written(work)
        if ending is not None:
            _end(self, work, ending)
        if expired is not None and not keyed.defer(expired, _EXPIRED):
            _end(self, expired, _EXPIRED)
    return own_trace


def _named(
    kind_name: str, place: Place, trace: CausalTraceId | None, payload: dict[str, Any]
) -> Place:
    """Name a run, a saga, a step where nobody did; give the place in which it begins."""
    if kind_name == "run" and trace is not None:
        payload.setdefault("run_id", f"{ids.as_text(payload.get('name', 'run'))}-{trace.span_id}")
    elif kind_name == "saga" and trace is not None:
        name = ids.as_text(payload.get("name", "saga"))
        saga_id = ids.as_text(payload.setdefault("saga_id", f"{name}-{trace.span_id}"))
        place = place._replace(saga=KeyedSaga(saga_id))
    elif kind_name in ("step", "compensation"):
        if place.saga is not None:
            payload.setdefault("saga_id", place.saga.saga_id)
        payload.setdefault("step_id", payload.get("step_action"))
    if kind_name == "compensation":
        payload.setdefault("phase", "started")
    return place


def _end(self: WritesByKey, work: OpenWork, ending: Ending) -> HypervisorEvent | None:
    if work.standing is not None:
        leave(work.standing)
    told = {**work.names, **ending.told}
    kind = work.kind.end_for(told)
    writer = self._writer
    if work.kind.timed and "duration_seconds" not in told:
        end_ns = writer.checked_ns(ending.timestamp_ns)
        took_ns = (clock.now_ns() if end_ns is None else end_ns) - work.start_ns
        told["duration_seconds"] = max(0, took_ns) / 1e9
    event = writer.make(kind, *work.stand, told, ending.timestamp_ns)
    writer.emit(event)
    return event


def _inside(self: WritesByKey, key: Hashable) -> Opened[CausalTraceId | None]:
    place, trace = _found(self, key) or _stand_of(self, HERE)
    return Opened(trace, self._writer.enter(place, trace), self._writer, lambda _: None)


def _stand_of(self: WritesByKey, key: Hashable | None) -> Stand:
    if key is None:
        return Stand(NOWHERE, None)
    if key is HERE:
        return Stand(current_place(), self._writer.trace_here())
    return _found(self, key) or Stand(NOWHERE, None)


def _found(self: WritesByKey, key: Hashable) -> Stand | None:
    """Give where what belongs to *key* stands; None where it is unknown, or no key at all."""
    try:
        return self._keyed.find(key)
    except Exception as error:  # noqa: BLE001 - what cannot be hashed or compared
        self._writer.keyed_failed(error)
        return None


def _place(parent: Stand, session_id: object, agent_did: object) -> Place:
    place = parent.place
    if session_id is not None:
        place = place._replace(session_id=ids.as_text(session_id))
    return place if agent_did is None else place._replace(agent_did=ids.as_text(agent_did))


def _told_trace(
    self: WritesByKey, told: CausalTraceId | str | None, parent: CausalTraceId | None
) -> CausalTraceId | None:
    """Give the id that was told, below its parent's where that is of the same trace."""
    if told is None:
        return None
    if not isinstance(told, CausalTraceId):
        try:
            told = CausalTraceId.from_string(told)
        except (TypeError, ValueError) as error:
            self._writer.keyed_failed(error)
            return None
    below = parent is not None and told.parent_span_id is None and told.trace_id == parent.trace_id
    if parent is None or not below or told.span_id == parent.span_id:
        return told
    return CausalTraceId(told.trace_id, told.span_id, parent.span_id, parent.depth + 1)


def _told(
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
