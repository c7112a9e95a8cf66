"""Which ids a span gets: functions of recorded events alone, so a repeat is the same span."""

import hashlib
from collections import OrderedDict
from collections.abc import Iterable
from functools import lru_cache
from itertools import islice

from attrs import frozen

from ..causality.id_text import MAX_FULL, parts_of
from ..causality.traceparent import widen_span, widen_trace
from ..events.event import HypervisorEvent
from ..facts import payload_facts
from ..values.open_twin import open_twin

MAX_REMEMBERED_IDS = 100_000
MAX_SAVED_IDS = 5_000
"""Ids that are saved along with a position; those before are likely to be in use no more."""

MAX_CACHED_IDS = 2_048
"""Causal ids, traces and spans that were read last; one of each takes less than 2 KiB."""

_TRACE_DIGITS = 32


@frozen
class SpanIdentity:
    """The ids of a span: 32, 16 and 16 (or no) lower-case hexadecimal digits."""

    trace_id: str
    span_id: str
    parent_span_id: str | None


_identity_draft = open_twin(SpanIdentity)


class SpanIdentities:
    """Give out identities.

    The first span opened under a causal id takes that id's own W3C pair, so that what was
    propagated downstream exists. Each further span under it takes a digest of the event
    that opened it, with the first as parent. Ids that nobody else knows come from digests
    too: a saga without causal ids has a trace of its own.
    """

    def __init__(self) -> None:
        self._taken: OrderedDict[tuple[str, str], None] = OrderedDict()

    def state(self) -> list[str]:
        """Give the newest ids that are taken, the oldest of them first."""
        newest = islice(reversed(self._taken), MAX_SAVED_IDS)
        return [f"{trace_id}{span_id}" for trace_id, span_id in newest][::-1]

    def restore(self, state: Iterable[str]) -> None:
        """Take the ids that ``state`` gave."""
        for ids in state:
            self._taken[ids[:_TRACE_DIGITS], ids[_TRACE_DIGITS:]] = None

    def of(self, event: HypervisorEvent) -> SpanIdentity | None:
        """Give the identity of the span that *event* opens; None without a causal id."""
        causal = causal_ids(event)
        if causal is None:
            return None
        taken = (causal.trace_id, causal.span_id)
        if taken in self._taken:
            return SpanIdentity(causal.trace_id, span_of_event(event), causal.span_id)
        self._taken[taken] = None
        if len(self._taken) > MAX_REMEMBERED_IDS:
            self._taken.popitem(last=False)
        return causal


def causal_ids(event: HypervisorEvent) -> SpanIdentity | None:
    """Give the ids that the event's causal id says, as the W3C has them; None if it has none or a
    malformed one.
    """
    text = event.causal_trace_id
    return None if text is None or len(text) > MAX_FULL else _ids_in(text)


def caller_of(event: HypervisorEvent) -> tuple[str, str] | None:
    """Give the ids of the caller whose trace was not continued, if there is one."""
    text = payload_facts.caller_trace(event)
    caller = None if not text or len(text) > MAX_FULL else _ids_in(text)
    return None if caller is None else (caller.trace_id, caller.span_id)


# The events of one piece of work come close together, and there are several readers.
@lru_cache(MAX_CACHED_IDS)
def _ids_in(text: str) -> SpanIdentity | None:
    try:
        trace, span, parent = parts_of(text)
    except ValueError:
        return None
    ids = _identity_draft()
    ids.trace_id = _wide_trace(trace)
    ids.span_id = _wide_span(trace, span)
    ids.parent_span_id = None if parent is None else _wide_span(trace, parent)
    ids.__class__ = SpanIdentity
    return ids  # type: ignore[no-any-return]  # it is one since the line above


# A piece of work is the parent of others, and all of them are in one trace.
_wide_trace = lru_cache(MAX_CACHED_IDS)(widen_trace)
_wide_span = lru_cache(MAX_CACHED_IDS)(widen_span)


def span_of_event(event: HypervisorEvent) -> str:
    """Give the span id of a span that has no causal id of its own."""
    return _digest(f"hv-event\0{event.event_id}", 16)


def trace_of_event(event: HypervisorEvent) -> str:
    """Give the trace id of work that *event* begins and that no causal id places."""
    return _digest(f"hv-event-trace\0{event.event_id}", 32)


def trace_of_saga(saga_id: str, first_event: HypervisorEvent) -> str:
    """Give the trace id of a saga without causal ids."""
    return _digest(f"hv-saga\0{saga_id}\0{first_event.event_id}", 32)


def span_of_saga(saga_id: str, first_event: HypervisorEvent) -> str:
    """Give the span id of a saga whose creation had no causal id, or was not seen."""
    return _digest(f"hv-saga-span\0{saga_id}\0{first_event.event_id}", 16)


def _digest(text: str, digits: int) -> str:
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:digits]
    # All zeros are forbidden (W3C Trace Context, sections 3.2.2.3 and 3.2.2.4).
    return digest if digest.strip("0") else "1".zfill(digits)
