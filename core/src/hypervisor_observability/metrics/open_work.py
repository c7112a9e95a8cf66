"""What has begun and not ended: the base of gauges and durations."""

from collections import OrderedDict
from typing import Any

from attrs import frozen

from ..facts import lasting
from .plain_values import count, integer, text, texts

MAX_OPEN = 10_000
"""Most pieces of one kind that are followed at once."""

Key = tuple[str, ...]


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
    """Pieces of one kind that have begun, at most ``MAX_OPEN``: beyond, the oldest is given up.

    Those that were given up are still counted, until as many unknown ones have ended.

    Args:
        parts: How many parts a key has. What is open can be asked for by each of them.
    """

    def __init__(self, parts: int = 1) -> None:
        # An OrderedDict gives its first entry at once; a dict looks over all that were deleted.
        self._open: OrderedDict[Key, Open] = OrderedDict()
        self._by_part: tuple[dict[str, dict[Key, None]], ...] = tuple({} for _ in range(parts))
        self._by_place: dict[Key, dict[Key, None]] = {}
        self._given_up: dict[str, int] = {}

    def begin(self, key: Key, start_ns: int, run: str) -> Key | None:
        """Note that something has begun; nothing if it had already.

        Returns:
            What was given up for it, if anything.
        """
        if key in self._open:
            return None
        self._add(key, Open(start_ns, run))
        if len(self._open) <= MAX_OPEN:
            return None
        oldest = next(iter(self._open))
        of_run = self._drop(oldest).run
        self._given_up[of_run] = self._given_up.get(of_run, 0) + 1
        return oldest

    def end(self, key: Key | None, run: str) -> Open | None:
        """Note that something has ended; None if its beginning is not known."""
        if key is not None and key in self._open:
            return self._drop(key)
        if self._given_up.get(run):
            self._given_up[run] -= 1
        return None

    def end_run(self, run: str) -> list[Key]:
        """Forget everything of *run*, and tell what it was."""
        self._given_up.pop(run, None)
        gone = [key for key, piece in self._open.items() if piece.run == run]
        for key in gone:
            self._drop(key)
        return gone

    def ended_by(self, key: lasting.Key) -> lasting.Key | None:
        """Give which of what is open an event ends; the keys are those of ``lasting``."""
        return lasting.ended_by(key, self)

    def follows(self, key: Key) -> bool:
        """Tell whether that is open."""
        return key in self._open

    def newest_named(self, own: str) -> Any:
        """Give the newest whose key begins with *own*; None if none does."""
        return _newest(self._by_part[0].get(own))

    def newest_at(self, *place: str) -> Any:
        """Give the newest whose key ends with *place*; None if none does."""
        return _newest(self._by_place.get(place))

    @property
    def count(self) -> int:
        """How many there are, with those that were given up."""
        return len(self._open) + sum(self._given_up.values())

    def items(self) -> list[tuple[Key, Open]]:
        """Give what is followed, the oldest first."""
        return list(self._open.items())

    def having(self, part: int, value: str) -> list[Key]:
        """Give what is open whose key has *value* at the place *part*."""
        return list(self._by_part[part].get(value, ()))

    def of_agent(self, agent: str, sessions: list[str] | None) -> list[Key]:
        """Give what an agent has open in *sessions*, whose keys end with both; None: in all."""
        if sessions is None:
            return self.having(1, agent)
        return [key for one in sessions for key in self._by_place.get((agent, one), ())]

    def values(self, part: int) -> int:
        """Tell how many different values the open keys have at the place *part*."""
        return len(self._by_part[part])

    def runs(self) -> set[str]:
        """Give the runs that have something open."""
        return {piece.run for piece in self._open.values()} | set(self._given_up)

    def state(self) -> Any:
        """Give all of it as plain JSON values."""
        return {
            "open": [[list(key), piece.start_ns, piece.run] for key, piece in self.items()],
            "given_up": dict(self._given_up),
        }

    def restore(self, state: Any) -> None:
        """Take what ``state`` gave; nothing may be open yet.

        Raises:
            ValueError, TypeError, KeyError, AttributeError: It is something else.
        """
        for key, start_ns, run in state["open"]:
            if len(texts(key)) != len(self._by_part):
                raise ValueError(f"expected {len(self._by_part)} parts, got {len(key)}")
            self._add(texts(key), Open(integer(start_ns), text(run)))
        self._given_up = {text(run): count(number) for run, number in state["given_up"].items()}

    def _add(self, key: Key, piece: Open) -> None:
        self._open[key] = piece
        for part, keys in zip(key, self._by_part, strict=True):
            keys.setdefault(part, {})[key] = None
        if len(key) > 1:
            self._by_place.setdefault(key[1:], {})[key] = None

    def _drop(self, key: Key) -> Open:
        for part, keys in zip(key, self._by_part, strict=True):
            del keys[part][key]
            if not keys[part]:
                del keys[part]
        if len(key) > 1:
            del self._by_place[key[1:]][key]
            if not self._by_place[key[1:]]:
                del self._by_place[key[1:]]
        return self._open.pop(key)


def _newest(keys: dict[Key, None] | None) -> Key | None:
    return next(reversed(keys)) if keys else None
