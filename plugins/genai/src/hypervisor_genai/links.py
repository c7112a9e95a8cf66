"""What is remembered of spans, so that what begins below them finds its place."""

from collections import OrderedDict
from collections.abc import Hashable
from typing import Any, NamedTuple

from attrs import define, evolve, field

from hypervisor_genai.reading import Work
from hypervisor_observability import CausalTraceId

MOST = 20_000
"""Spans that are remembered, whether they have ended or not; beyond, the oldest is forgotten. A
recorder has as many: 10,000 that are open, and 10,000 that have ended."""

SpanKey = tuple[int, int]
"""The ids of a span: of its trace, and its own."""


class Ended(NamedTuple):
    """How a span ended.

    Attributes:
        key: Of the span.
        error: What ended it; None: nothing went wrong.
        told: What the event of the end says.
        timestamp_ns: When, in nanoseconds since the epoch.
    """

    key: SpanKey
    error: BaseException | str | None
    told: dict[str, Any]
    timestamp_ns: int | None


@define(eq=False)
class Link:
    """What a span means for what is below it.

    Attributes:
        key: The recorded work that it is, or the nearest that it lies in; None: there is none.
        work: What it is about; None: nothing of ours.
        trace: The causal id of the recorded work.
        scope: Which instrumentation made it.
        beside: The parent of the span.
        within: The recorded work that it lies in.
        begun: What the event of its beginning has said.
        flying: Tells the exception apart that flew when it began.
        usage: Tokens of spans below it that are about the same call.
        sums: Has the ``usage`` that tokens told below it are part of; None: it itself.
        outer: Likewise, for what a span tells itself that is left alone.
        failure: How the same call of a tool failed, as a span below it tells.
        left: Whether it is left alone, since somebody else records the work, or another span does.
        elsewhere: Whether a framework tells of it that has a source of its own.
        held: Work within it whose end waits for its own; None: it has ended.
        inside: Ends the standing in the recorded work, where a span that is left alone has one.
        gone: Tells when the span is gone without an end.
    """

    key: SpanKey | None = None
    work: Work | None = None
    trace: CausalTraceId | None = None
    scope: str = ""
    beside: SpanKey | None = None
    within: SpanKey | None = None
    begun: frozenset[str] = frozenset()
    flying: int = 0
    usage: tuple[int, int] | None = None
    sums: "Link | None" = None
    outer: "Link | None" = None
    failure: Ended | None = None
    left: bool = False
    elsewhere: bool = False
    held: list[Ended] | None = field(factory=list)
    inside: Any = None
    gone: Any = None


def left_below(above: Link, **more: Any) -> Link:
    """Give the link of a span that is left alone, below *above*."""
    outer = above.sums or above
    return evolve(above, left=True, usage=None, sums=None, outer=outer, gone=None, **more)


def unknown_below(above: Link) -> Link:
    """Give the link of a span of which nothing is known, below *above*."""
    # It may tell at its end: what is left alone is the span above.
    if not above.left:
        return above
    return evolve(above, left=False, inside=None, sums=above.sums or above, gone=None)


class Links:
    """The links of spans: bounded.

    There is no lock: each step is one operation of a dict on keys of plain values, so threads,
    signals and forks find it whole.
    """

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._links: OrderedDict[Hashable, Link] = OrderedDict()

    def __len__(self) -> int:
        return len(self._links)

    def get(self, key: Hashable) -> Link | None:
        """Give the link of a span."""
        return self._links.get(key)

    def all(self) -> list[tuple[Hashable, Link]]:
        """Give all of them, the oldest first."""
        return list(self._links.items())

    def put(self, key: Hashable, link: Link) -> None:
        """Remember the link of a span."""
        self._links[key] = link
        while len(self._links) > self._most:
            try:
                self._links.popitem(last=False)
            except KeyError:  # other threads were as quick
                return
