"""Tells from bytes alone what cannot be asked for, so that it need not be read as events."""

from collections.abc import Sequence

from attrs import frozen

from hypervisor_journal.format.frames import Record
from hypervisor_observability.causality.traceparent import narrow_trace
from hypervisor_observability.stores import Wanted

_ESCAPE = b"\\u"
"""JSON may write any character so: what holds one is read."""


@frozen
class Sieve:
    """What has to stand somewhere in the head of a record that is wanted, one of each.

    Attributes:
        needles: For each thing that is asked for, the texts as which it may stand there.
        since_ns: The first moment.
        until_ns: The last one.
    """

    needles: Sequence[Sequence[bytes]]
    since_ns: int | None
    until_ns: int | None

    @classmethod
    def of(cls, wanted: Wanted) -> "Sieve":
        """Make the sieve for what is *wanted*."""
        asked = [
            [text] for text in (wanted.event_type, wanted.session_id, wanted.agent_did) if text
        ]
        if wanted.trace is not None:
            # An id that is neither of ours nor a W3C one leaves a digest, and can be any text.
            short = narrow_trace(wanted.trace)
            if short is not None:
                asked.append([short, wanted.trace])
        needles = [[text.encode() for text in one] for one in asked if all(map(_is_plain, one))]
        return cls(needles, wanted.since_ns, wanted.until_ns)

    def lets_times(self, from_ns: int, until_ns: int) -> bool:
        """Tell whether an event between these times may be wanted."""
        return (self.since_ns is None or until_ns >= self.since_ns) and (
            self.until_ns is None or from_ns <= self.until_ns
        )

    def lets_record(self, record: Record) -> bool:
        """Tell whether a record may hold what is wanted."""
        return self.lets_times(record.time_ns, record.time_ns) and self.lets(record.head)

    def lets(self, data: bytes) -> bool:
        """Tell whether something in *data* may be wanted."""
        return all(any(one in data for one in some) for some in self.needles) or _ESCAPE in data


def _is_plain(text: str) -> bool:
    """Tell whether JSON writes a text as it is, but for escapes."""
    return text.isprintable() and not set(text) & set('"\\/') and text.isascii()
