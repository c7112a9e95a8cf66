"""Which ids a span gets: functions of recorded events alone, so a repeat is the same span."""

import hashlib
from collections import OrderedDict
from collections.abc import Iterable
from itertools import islice

from attrs import frozen

from ..causality.causal_trace import CausalTraceId
from ..causality.traceparent import widen_span
from ..events.event import HypervisorEvent
from ..facts import payload_facts

MAX_REMEMBERED_IDS = 100_000
MAX_SAVED_IDS = 5_000
"""Ids that are saved along with a position; those before are likely to be in use no more."""

_TRACE_DIGITS = 32


@frozen
class SpanIdentity:
    """The ids of a span: 32, 16 and 16 (or no) lower-case hexadecimal digits."""

    trace_id: str
    span_id: str
    parent_span_id: str | None


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
        causal = causal_id(event)
        if causal is None:
            return None
        trace_id, span_id = causal.to_w3c()
        if (trace_id, span_id) in self._taken:
            return SpanIdentity(trace_id, span_of_event(event), span_id)
        self._taken[trace_id, span_id] = None
        if len(self._taken) > MAX_REMEMBERED_IDS:
            self._taken.popitem(last=False)
        parent = causal.parent_span_id
        return SpanIdentity(
            trace_id, span_id, None if parent is None else widen_span(causal.trace_id, parent)
        )


def causal_id(event: HypervisorEvent) -> CausalTraceId | None:
    """Parse the event's causal id; None if it has none or a malformed one."""
    return CausalTraceId.or_none(event.causal_trace_id)


def caller_of(event: HypervisorEvent) -> tuple[str, str] | None:
    """Give the ids of the caller whose trace was not continued, if there is one."""
    caller = CausalTraceId.or_none(payload_facts.caller_trace(event))
    return None if caller is None else caller.to_w3c()


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
