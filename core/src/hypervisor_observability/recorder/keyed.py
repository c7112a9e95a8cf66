"""Work under keys: for who learns of its beginning and its end in separate calls.

A framework's callbacks come in any thread, in any context, in any order, twice or not at all. So
parents are told by their keys, nothing is taken from the running code, and nothing raises. These
functions are methods of ``Recorder``.
"""

from collections.abc import Hashable, Mapping
from typing import Protocol

from ..causality.causal_trace import CausalTraceId
from ..events.event import HypervisorEvent
from ..events.event_types import EventType
from .keyed_table import Ending, Stand
from .keyed_work import (
    HERE,
    KeyedWork,
    begin,
    end,
    ending_of,
    place_of,
    stand_in,
    stand_of,
    told_trace,
)
from .kinds import KindName
from .place import Place
from .scope import Scope


class WritesByKey(Protocol):
    """What writes work under keys."""

    _keyed: KeyedWork


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
        kind: ``session``, ``run``, ``agent``, ``tool``, ``model``, ``saga``, ``fan_out``,
            ``step`` or ``compensation``.
        key: Tells it apart from all that is open: what the framework calls it by. It is kept for
            a while after the end, so an id serves better than an object.
        parent_key: The work that caused it, which may have ended. None: nothing did. ``HERE``:
            the scope that the running code is in.
        session_id: By default its parent's; of a session its own.
        agent_did: By default its parent's; of an agent its own, by default its name, or the key.
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
        own = Stand(Place(session_id, agent_did), None)
        payload["attributes"] = attributes
        return begin(
            self._keyed, kind, key, parent_key, own, trace, timestamp_ns, payload, activate
        )
    except Exception as error:  # noqa: BLE001 - no fault of recording reaches the framework
        self._keyed.writer.keyed_failed(error)
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
        ending = Ending(ending_of(error, payload, attributes), timestamp_ns)
        work = self._keyed.table.take(key)
        if work is None or self._keyed.table.defer(work, ending):
            return None
        return end(self._keyed, work, ending)
    except Exception as fault:  # noqa: BLE001 - likewise
        self._keyed.writer.keyed_failed(fault)
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
        parent = stand_of(self._keyed, parent_key)
        place = place_of(parent, session_id, agent_did)
        own = told_trace(self._keyed, trace, parent.trace) or parent.trace
        kind = EventType.of(event_type)
        event = self._keyed.writer.make(kind, place, own, payload, timestamp_ns)
        self._keyed.writer.emit(event)
    except Exception as error:  # noqa: BLE001 - likewise
        self._keyed.writer.keyed_failed(error)
        return None
    return event


def innermost_of(self: WritesByKey, key: Hashable, /) -> Hashable:
    """Give the parent of work that begins here, which its framework says *key* has caused.

    Code below *key* may have opened something that the framework knows nothing of: a scope of the
    application's own, or what another framework does. The work stands in that.

    Args:
        key: What caused it, as far as the framework knows.

    Returns:
        ``HERE`` where the running code stands in something below *key*; else *key*.
    """
    try:
        known = self._keyed.table.find(key)
        here = self._keyed.writer.trace_here()
        if known is None or here is None or known.trace is None or here == known.trace:
            return key
        return HERE if known.trace.is_ancestor_of(here, strict=True) else key
    except Exception as error:  # noqa: BLE001 - likewise
        self._keyed.writer.keyed_failed(error)
        return key


def stand_in_key(self: WritesByKey, key: Hashable, /) -> Scope[CausalTraceId | None]:
    """Have the code of a block stand in what is or was open under *key*.

    So that what it records belongs to that. An unknown key leaves it where it is.
    """
    scope: Scope[CausalTraceId | None] = self._keyed.writer.scope(
        lambda: stand_in(self._keyed, key)
    )
    return scope


def let_go(self: WritesByKey) -> None:
    """Have no code stand in what is still open, since whoever would close it is gone."""
    self._keyed.table.let_go()
