"""What the work of the demonstration has emitted, and whether a backend has just that."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol, Self

from attrs import frozen

from ...events.event import HypervisorEvent
from ...spans.assembly import SpanAssembler

SpanKey = tuple[str, str, str | None]
"""The ids of trace, span and parent: 32, 16 and 16 (or no) hexadecimal digits."""


class ReceivedSpan(Protocol):
    """A span as it arrived, with its ids in hexadecimal digits."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def trace_id(self) -> str:
        """Its trace."""

    @property
    def span_id(self) -> str:
        """Its own id."""

    @property
    def parent_span_id(self) -> str | None:
        """Its parent; None for a root."""


@frozen
class Emitted:
    """What the work has emitted.

    Attributes:
        types: How many events of each type.
        spans: The name of each span that these events make.
        open_spans: How many spans have begun and not ended.
        durations: How many of the spans stand for work that takes time: all but decisions.
    """

    types: Counter[str]
    spans: Mapping[SpanKey, str]
    open_spans: int = 0
    durations: int = 0

    @classmethod
    def of(cls, events: Iterable[HypervisorEvent]) -> Self:
        """Count events, and assemble their spans as a plugin's worker does."""
        assembler, types, spans = SpanAssembler(), Counter[str](), dict[SpanKey, str]()
        durations = 0
        for event in events:
            types[event.event_type.value] += 1
            for span in assembler.feed(event):
                spans[span.trace_id, span.span_id, span.parent_span_id] = span.name
                durations += span.scope != "decision"
        return cls(types, spans, assembler.open_spans, durations)

    def line(self) -> str:
        """Explain the numbers that the lines about the backends have."""
        spans = len(self.spans)
        return (
            f"The work above emitted {self.types.total()} events: each thing that happened. They"
            f" make {spans} spans:\n{self.durations} are work with a beginning and an end, so a"
            f" duration; {spans - self.durations} are decisions of the policy.\n"
            "A backend gets what it is for: events as metrics, or spans."
        )


@frozen(kw_only=True)
class Received:
    """What one backend has of what was emitted.

    Attributes:
        unit: What was compared: ``events`` or ``spans``.
        emitted: How many there are.
        received: How many of these the backend has.
        how: How that is known.
        differences: What the backend has not, or has and should not.
    """

    unit: str
    emitted: int
    received: int
    how: str
    differences: tuple[str, ...] = ()


def compare_types(
    emitted: Emitted, got: Counter[str], how: str, differences: Iterable[str] = ()
) -> Received:
    """Compare by type and number of events.

    Args:
        emitted: What there is.
        got: Events by type, as the backend has them.
        how: How that is known.
        differences: What else differs.
    """
    types = emitted.types
    found = [
        f"{name}: emitted {types[name]}, received {got[name]}"
        for name in sorted({*types, *got})
        if types[name] != got[name]
    ]
    return Received(
        unit="events",
        emitted=types.total(),
        received=(types & got).total(),
        how=how,
        differences=(*found, *differences),
    )


def compare_spans(emitted: Emitted, arrived: Sequence[ReceivedSpan], how: str) -> Received:
    """Compare by the ids of trace, span and parent.

    Args:
        emitted: What there is.
        arrived: The spans that the backend has.
        how: How that is known.
    """
    keys = [(span.trace_id, span.span_id, span.parent_span_id) for span in arrived]
    names = dict(zip(keys, (span.name for span in arrived), strict=True)) | dict(emitted.spans)
    expected, got = Counter(emitted.spans.keys()), Counter(keys)
    differences = [f"{_named(key, names)} did not arrive" for key in expected - got]
    for key in got - expected:
        times = f"arrived {got[key]} times" if key in expected else "arrived, was never emitted"
        differences.append(f"{_named(key, names)} {times}")
    return Received(
        unit="spans",
        emitted=expected.total(),
        received=(expected & got).total(),
        how=how,
        differences=tuple(differences),
    )


def _named(key: SpanKey, names: Mapping[SpanKey, str]) -> str:
    return f"span {names[key]} ({key[1]}, parent {key[2] or 'none'})"
