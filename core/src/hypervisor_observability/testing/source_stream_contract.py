"""What a source sees of streams that nobody reads to their end."""

import asyncio
import gc
import time
from collections.abc import AsyncIterator
from contextlib import suppress

from ..events.event import HypervisorEvent
from ..host.observability import Observability
from .source_pieces import BEGINNINGS, ENDS, Seen, own_id
from .source_samples import REQUEST, one_tool, only_says
from .source_tests import WIDE_SECONDS, SourceTests, settled


class StreamContract(SourceTests):
    """What a source sees of streams that nobody reads to their end."""

    def test_stream_that_is_closed_early_leaves_nothing_open(self) -> None:
        """Nor is that a failure: its reader has had enough."""
        self.needs("stream")
        for parts in (1, 2):
            _check_left(self._left(parts, closes=True))

    def test_stream_that_is_dropped_leaves_nothing_open(self) -> None:
        """Nobody closes it; the garbage collector and the event loop do."""
        self.needs("stream")
        for parts in (1, 2):
            _check_left(self._left(parts, closes=False))

    def test_many_abandoned_streams_leave_nothing_open(self) -> None:
        """What each leaves open would be gone only when ten thousand others are."""
        self.needs("stream")
        with self.observed() as observability:
            counting = _Counting(observability)
            streams = asyncio.run(self._abandon(self.abandoned_streams, counting))
            assert counting.begun >= streams, "nothing was seen of the streams"
            assert not counting.open, (
                f"{len(counting.open)} of {counting.begun} pieces of work have not ended after"
                f" {streams} streams were abandoned, such as a"
                f" {next(iter(counting.open.values()))}: close them where the stream is closed"
            )

    def _left(self, parts: int, *, closes: bool) -> Seen:
        """Read some parts of a stream and leave it; give what was seen."""

        async def main() -> Seen:
            with self.observed() as observability:
                await _leave(self.stream(one_tool(), REQUEST), parts, closes=closes)
                bus = observability.bus

                def is_over() -> bool:
                    if Seen.of(bus.all_events).still_open:
                        gc.collect()
                    return not Seen.of(bus.all_events).still_open

                await settled(is_over, self.patience_seconds)
                return self.seen(observability)

        return asyncio.run(main())

    async def _abandon(self, most: int, counting: "_Counting") -> int:
        """Abandon *most* streams, or as many as a slow machine can; give how many that were."""
        deadline = time.monotonic() + WIDE_SECONDS
        streams = 0
        while streams < most and time.monotonic() < deadline:
            await _leave(self.stream(only_says(), REQUEST), 1, closes=streams % 2 == 0)
            await asyncio.sleep(0)
            streams += 1
        await settled(counting.has_all_ended, self.patience_seconds)
        return streams


async def _leave(stream: AsyncIterator[object], parts: int, *, closes: bool) -> None:
    """Read some parts of a stream, and close it or let it be."""
    with suppress(StopAsyncIteration):
        for _ in range(parts):
            await anext(stream)
    close = getattr(stream, "aclose", None)
    if closes and close is not None:
        await close()
    del stream, close
    if not closes:
        gc.collect(0)


def _check_left(seen: Seen) -> None:
    for piece in seen.pieces:
        assert piece.status in ("ok", "cancelled"), (
            f"the reader of a stream has had enough: that is no failure of {piece}\n{seen.text()}"
        )


class _Counting:
    """Counts what begins and ends on a bus, which need not keep it all.

    Attributes:
        begun: How much has begun.
        open: What has not ended, by id.
    """

    def __init__(self, observability: Observability) -> None:
        self.begun = 0
        self.open: dict[object, str] = {}
        observability.bus.subscribe(None, self._note)

    def has_all_ended(self) -> bool:
        """Whether nothing is open, after the garbage collector has looked at everything.

        It may take several times: a finalizer that runs may let go of what has one itself.
        """
        if self.open:
            gc.collect()
        return not self.open

    def _note(self, event: HypervisorEvent) -> None:
        kind = event.event_type.value
        if kind in BEGINNINGS:
            self.begun += 1
            self.open[own_id(event)] = BEGINNINGS[kind]
        elif kind in ENDS:
            self.open.pop(own_id(event), None)
