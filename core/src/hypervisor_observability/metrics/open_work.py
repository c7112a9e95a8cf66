"""What has begun and not ended: the base of gauges and durations."""

from typing import Any

from attrs import define, frozen

from ..events.event import HypervisorEvent
from ..facts.lasting import Key, Lasting
from .plain_values import count, integer, text, texts


@define(eq=False)
class Moment:
    """What meters share while they observe.

    Attributes:
        run: The process's run that the events at hand are of; empty for this process.
    """

    run: str = ""


@frozen
class Open:
    """A piece of work that has begun.

    Attributes:
        start_ns: When, in nanoseconds since the epoch.
        run: The process's run in which it began; empty for this process.
    """

    start_ns: int
    run: str = ""


class OpenWork:
    """Pieces of one kind that have begun, at most as many as ``Lasting`` follows.

    Those that were given up are still counted, until as many unknown ones have ended.

    Args:
        moment: On whose behalf something begins and ends.
        parts: How many parts a key has: one, or the three of ``lasting``.

    Attributes:
        lasting: The pieces.
    """

    def __init__(self, moment: Moment, parts: int = 1) -> None:
        self._moment, self._parts = moment, parts
        self.lasting: Lasting[Open] = Lasting(goes_on=True)
        self._given_up: dict[str, int] = {}

    def opened(self, event: HypervisorEvent) -> Open:
        """Give the piece that *event* begins."""
        return Open(event.timestamp_ns, self._moment.run)

    def begin(self, key: Key, event: HypervisorEvent) -> None:
        """Note that something has begun; nothing if it had already."""
        for _, piece in self.lasting.begin(key, self.opened(event)):
            self._given_up[piece.run] = self._given_up.get(piece.run, 0) + 1

    def end(self, key: Key) -> Open | None:
        """Note that something has ended; None if its beginning is not known."""
        for _, piece in self.lasting.end(key):
            return piece
        if self._given_up.get(self._moment.run):
            self._given_up[self._moment.run] -= 1
        return None

    def end_run(self, run: str) -> list[Key]:
        """Forget everything of *run*, and tell what it was."""
        self._given_up.pop(run, None)
        gone = [key for key, piece in self.lasting.values.items() if piece.run == run]
        self.lasting.take(gone)
        return gone

    @property
    def count(self) -> int:
        """How many there are, with those that were given up."""
        return len(self.lasting.values) + sum(self._given_up.values())

    def runs(self) -> set[str]:
        """Give the runs that have something open."""
        return {piece.run for piece in self.lasting.values.values()} | set(self._given_up)

    def state(self) -> Any:
        """Give all of it as plain JSON values."""
        return {
            "open": [
                [list(key), piece.start_ns, piece.run] for key, piece in self.lasting.values.items()
            ],
            "given_up": dict(self._given_up),
        }

    def restore(self, state: Any) -> None:
        """Take what ``state`` gave; nothing may be open yet.

        Raises:
            ValueError, TypeError, KeyError, AttributeError: It is something else.
        """
        for parts, start_ns, run in state["open"]:
            key = texts(parts)
            if len(key) != self._parts:
                raise ValueError(f"expected {self._parts} parts, got {len(key)}")
            self.lasting.begin(key, Open(integer(start_ns), text(run)))
        self._given_up = {text(run): count(number) for run, number in state["given_up"].items()}
