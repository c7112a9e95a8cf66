"""A reader's stream from the store of its process, with the log in memory behind it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

from ..bus.log import EventLog, Reading
from ..errors import StreamUnavailableError
from ..events.event import HypervisorEvent
from .store_faults import StoreFaults
from .store_streams import CheckedStream


class KeptStream:
    """The log in memory until the store keeps events, and again once it does not any longer; else
    what the store gave, whose positions from 0 on are those of the log.

    Args:
        stream: What the store gave.
        log: The log in memory.
        keeps: Says whether the store keeps events at present.
        faults: Of the store.
    """

    def __init__(
        self, stream: object, log: EventLog, keeps: Callable[[], bool], faults: StoreFaults
    ) -> None:
        self._stream = CheckedStream(faults.store, stream)
        self._log = log
        self._keeps = keeps
        self._faults = faults
        self._given_up = False
        self._first: int | None = None
        self._read_to = 0

    @property
    def _is_kept(self) -> bool:
        return self._keeps() and not self._given_up

    @property
    def start(self) -> int:
        """Where this process begins to read."""
        return self._begins[0]

    @property
    def skipped(self) -> int:
        """Events before that no one will read."""
        return self._begins[1]

    @property
    def _begins(self) -> tuple[int, int]:
        # Both or neither: a reader that cannot tell where it begins reads the log alone.
        begins = 0, 0
        if self._is_kept:
            begins = self._faults.quietly(
                "tells no beginning", lambda: (self._stream.start, self._stream.skipped), (1, 0)
            )
        self._given_up = self._given_up or begins[0] > 0
        return (0, 0) if self._given_up else begins

    @property
    def defers(self) -> bool:
        """Whether the next process reads what this one leaves."""
        return self._is_kept and self._faults.quietly(
            "does not tell what it defers", lambda: self._stream.defers, False
        )

    @property
    def state(self) -> Mapping[str, Any] | None:
        """What was saved along with the position.

        Raises:
            StreamUnavailableError: It cannot be read at present.
        """
        return self._stream.state if self._is_kept else None

    def since_state(self) -> Iterator[Sequence[HypervisorEvent]]:
        """Give what came between that and the position.

        Raises:
            StreamUnavailableError: It cannot be read at present.
        """
        return self._stream.since_state() if self._is_kept else iter(())

    @property
    def bounds(self) -> tuple[int, int]:
        """Positions of the oldest event that can be read, and of the next one to come. The end is
        known whatever the store says.
        """
        first, end = self._log.bounds
        if self._is_kept:
            with suppress(StreamUnavailableError):
                self._first = self._stream.bounds[0]
            first = self.start if self._first is None else self._first
        return first, max(first, end, self._read_to)

    def read(self, position: int, max_events: int) -> Reading:
        """Read on.

        Raises:
            StreamUnavailableError: It cannot be read at present.
        """
        if not self._is_kept:
            return self._log.read(max(0, position), max_events)
        reading = self._stream.read(position, max_events)
        if reading.skipped and reading.position > self._log.end:
            raise StreamUnavailableError(self._faults.store, "it skipped what was never emitted")
        # A store may have an event a moment before the log has it.
        self._read_to = max(self._read_to, reading.next_position)
        return reading

    def commit(
        self, position: int, state: Callable[[], Mapping[str, Any] | None], *, last: bool
    ) -> None:
        """Save how far the reader is."""
        if self._is_kept:
            self._faults.quietly(
                "cannot save a position",
                lambda: self._stream.commit(position, state, last=last),
                None,
            )

    def begin_anew_after_fork(self) -> None:
        """Begin at 0, in a fork's child."""
        self._first, self._read_to = None, 0

        def begin_anew() -> bool:
            self._stream.begin_anew_after_fork()
            return True

        self._given_up = not self._faults.quietly("gives no stream to a fork", begin_anew, False)
