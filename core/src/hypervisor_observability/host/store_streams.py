"""A store's stream, held to its contract: whatever it does that it should not means "wait"."""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from ..bus.log import Reading
from ..delivery.counts import REASONS_TO_LEAVE
from ..delivery.parts import ONE_PART, WHOLE
from ..errors import StreamUnavailableError
from ..events.event import HypervisorEvent
from ..threads.interruptions import is_of_application

Result = TypeVar("Result")
Check = Callable[[Any], bool]

_NOWHERE = -sys.maxsize


class CheckedStream:
    """What one reader reads of a store, and the cursor in it.

    Each call gives what the contract in :mod:`hypervisor_observability.bus.stream` allows, or
    raises ``StreamUnavailableError``.

    Args:
        store: Name of the store's plugin.
        stream: What the store gave. A part of it that is never asked for need not be there.
        shared: Whether it is a ``SharedStream``: if not, it is one part.

    Attributes:
        shared: Whether it is a ``SharedStream``.
    """

    def __init__(self, store: str, stream: Any, *, shared: bool = False) -> None:
        self._store = store
        self._stream = stream
        self.shared = shared
        self._taken: set[str] = set()
        self._begin()

    def _begin(self) -> None:
        # Before the first answer nothing is known: any number is higher.
        self._first = self._read_to = _NOWHERE

    # As a stream

    @property
    def bounds(self) -> tuple[int, int]:
        """Positions of the oldest event that can be read, and of the next one to come."""

        def are_right(given: Any) -> bool:
            first, end = given
            return _is_int(first) and _is_int(end) and first <= end

        first, end = self._asked("bounds", are_right, lambda stream: stream.bounds)
        self._first = max(first, self._first)
        return self._first, max(end, self._first, self._read_to)

    def read(self, position: int, max_events: int) -> Reading:
        """Read on."""

        def is_right(given: Any) -> bool:
            return (
                isinstance(given, Reading)
                and _is_int(given.skipped)
                and given.skipped >= 0
                and given.position == position + given.skipped
                and len(given.events) <= max_events
                and set(map(type, given.events)) <= {HypervisorEvent}
                and (not (given.events and self.shared) or self._stream.part in self._taken)
            )

        reading: Reading = self._asked(
            "read", is_right, lambda stream: stream.read(position, max_events)
        )
        self._read_to = max(reading.next_position, self._read_to)
        return reading

    # As a cursor

    @property
    def start(self) -> int:
        """Where this process begins to read."""
        told: int = self._asked(
            "start", lambda given: _is_int(given) and given <= 0, lambda stream: stream.start
        )
        return told

    @property
    def skipped(self) -> int:
        """Events before that no one will read."""
        told: int = self._asked(
            "skipped", lambda given: _is_int(given) and given >= 0, lambda stream: stream.skipped
        )
        return told

    @property
    def defers(self) -> bool:
        """Whether the next process reads what this one leaves."""
        told: bool = self._asked(
            "defers", lambda given: isinstance(given, bool), lambda stream: stream.defers
        )
        return told

    @property
    def state(self) -> Mapping[str, Any] | None:
        """What was saved along with the position."""
        told: Mapping[str, Any] | None = self._asked(
            "state", _is_state, lambda stream: stream.state
        )
        return told

    def since_state(self) -> Iterator[Sequence[HypervisorEvent]]:
        """Give what came between that and the position."""
        return self._each("since_state", _are_events, lambda stream: stream.since_state())

    def commit(
        self, position: int, state: Callable[[], Mapping[str, Any] | None], *, last: bool
    ) -> None:
        """Save how far the reader is."""
        self._asked("commit", _anything, lambda stream: stream.commit(position, state, last=last))

    def begin_anew_after_fork(self) -> None:
        """Begin at 0, in a fork's child."""
        self._begin()
        self._asked(
            "begin_anew_after_fork", _anything, lambda stream: stream.begin_anew_after_fork()
        )

    # As an agent follows it

    @property
    def damaged(self) -> bool:
        """Whether something was come across that cannot be read for good."""
        told: bool = self._asked(
            "damaged", lambda given: isinstance(given, bool), lambda stream: stream.damaged
        )
        return told

    def open(self) -> None:
        """Find out where to go on."""
        self._asked("open", _anything, lambda stream: stream.open())

    @property
    def unfinished(self) -> set[str]:
        """Names of the runs that live, or have something left for this reader."""
        return self._asked(
            "unfinished", lambda given: isinstance(given, set), lambda stream: stream.unfinished
        )

    @property
    def in_flight(self) -> Sequence[tuple[str, Sequence[HypervisorEvent]]]:
        """What was read and is not committed, with the names of the runs."""
        return self._asked(
            "in_flight", lambda given: all(map(_is_part, given)), lambda stream: stream.in_flight
        )

    def since_state_by_run(self) -> Iterator[tuple[str, Sequence[HypervisorEvent]]]:
        """Give what ``since_state`` gives, with the names of the runs."""
        return self._each(
            "since_state_by_run", _is_part, lambda stream: stream.since_state_by_run()
        )

    # By parts

    @property
    def parts(self) -> Mapping[str, int]:
        """The parts that this agent owns now, each with the number of its term."""
        if not self.shared:
            return ONE_PART
        told: Mapping[str, int] = self._asked("parts", _are_numbers, lambda stream: stream.parts)
        return told

    @property
    def part(self) -> str | None:
        """The part of the last reading that had events."""
        if not self.shared:
            return WHOLE
        told: str | None = self._asked(
            "part", lambda given: isinstance(given, str | None), lambda stream: stream.part
        )
        return told

    def state_of(self, part: str) -> Mapping[str, Any] | None:
        """Give what was saved along with the position in *part*."""
        if not self.shared:
            return self.state
        told: Mapping[str, Any] | None = self._asked(
            "state_of", _is_state, lambda stream: stream.state_of(part)
        )
        self._taken.add(part)
        return told

    def since_state_of(self, part: str) -> Iterator[tuple[str, Sequence[HypervisorEvent]]]:
        """Give what came between that and the position, with the names of the runs."""
        if not self.shared:
            return self.since_state_by_run()
        return self._each("since_state_of", _is_part, lambda stream: stream.since_state_of(part))

    def left(self) -> Mapping[str, int]:
        """Give how many events were skipped so far, by reason."""
        if not self.shared:
            return {}
        told: Mapping[str, int] = self._asked(
            "left",
            lambda given: _are_numbers(given) and given.keys() <= REASONS_TO_LEAVE,
            lambda stream: stream.left(),
        )
        return told

    # Inside

    def _each(self, what: str, is_right: Check, ask: Callable[[Any], Any]) -> Iterator[Any]:
        given = self._asked(what, _anything, lambda stream: iter(ask(stream)))
        end = object()
        while (
            one := self._asked(
                what, lambda one: one is end or is_right(one), lambda _: next(given, end)
            )
        ) is not end:
            yield one

    def _asked(self, what: str, is_right: Check, ask: Callable[[Any], Result]) -> Result:
        try:
            given = ask(self._stream)
            if is_right(given):
                return given
            reason: BaseException | str = f"its stream's '{what}' gave {_short(given)}"
        except StreamUnavailableError:
            raise
        except BaseException as error:
            if is_of_application(error):
                raise
            reason = error
        cause = reason if isinstance(reason, BaseException) else None
        raise StreamUnavailableError(f"store {self._store}", reason) from cause


def _anything(_: object) -> bool:
    return True


def _is_int(given: object) -> bool:
    return type(given) is int


def _is_state(given: object) -> bool:
    return given is None or isinstance(given, Mapping)


def _are_events(given: Any) -> bool:
    return isinstance(given, Sequence) and set(map(type, given)) <= {HypervisorEvent}


def _are_numbers(given: Any) -> bool:
    return isinstance(given, Mapping) and all(
        isinstance(name, str) and _is_int(number) and number >= 0 for name, number in given.items()
    )


def _is_part(given: Any) -> bool:
    run, events = given
    return isinstance(run, str) and _are_events(events)


def _short(given: object) -> str:
    return f"{type(given).__name__} {given!r:.100}"
