"""The series of one metric: which one an observation belongs to, and how many there may be."""

from collections.abc import Callable, Iterable, Mapping
from itertools import product
from typing import Generic, TypeVar

from .families import LabelValues
from .labels import MAX_SERIES, OTHER

T = TypeVar("T")

Labels = Mapping[str, tuple[str, ...]]
"""Names of labels, each with its values where they are known in advance; else ``()``."""

NO_LABELS: Labels = {}
_SESSION = "session_id"


class BoundedSeries(Generic[T]):
    """The series of one metric, at most so many and one; see ``limit``.

    Where the values of all labels are known in advance, all series are there from the beginning,
    at zero: a counter that appears with its first increment has not increased. What comes beyond
    the limit goes to the overflow series, from its first observation: its labels are ``other``,
    but for those whose values are known in advance, so that sums by those stay exact. The overflow
    series is there at zero before it is needed, so that what it takes is visible to
    ``increase()``; and series that are only zeros take no more than half of the places.

    Args:
        labels: Their labels.
        zero: Makes the value of a new series.
    """

    def __init__(self, labels: Labels, zero: Callable[[], T]) -> None:
        self.values: dict[LabelValues, T] = {}
        """What was counted, by the values of the labels."""
        self.is_closed = all(labels.values())
        """Whether the values of all labels are known in advance."""
        self.overflowed = 0
        """Observations that went to an overflow series."""
        self.withdrawn = 0
        """Series that were withdrawn, since their session has ended."""
        self._zero = zero
        # The overflow series; where all labels are known, all series that there can be.
        self._known: tuple[LabelValues, ...] = tuple(
            product(*(values or (OTHER,) for values in labels.values()))
        )
        self._open = tuple(not values for values in labels.values())
        self._session = list(labels).index(_SESSION) if _SESSION in labels else None
        self._by_session: dict[str, list[LabelValues]] = {}
        self._taken = 0
        self.limit(MAX_SERIES)
        if self.is_closed:
            self._show_known()

    def limit(self, max_series: int) -> None:
        """Have at most *max_series* series from now on, beside that of the overflow."""
        self._places = max_series + 1 - len(self._known)

    def place(self, labels: LabelValues) -> LabelValues:
        """Have the series there to which an observation with new *labels* belongs; give its own."""
        key = labels
        if self._taken < self._places:
            self._take(labels)
        else:
            self.overflowed += 1
            values = zip(self._open, labels, strict=True)
            key = tuple(OTHER if is_open else value for is_open, value in values)
        self._show_overflow()
        if key not in self.values:
            self.values[key] = self._zero()
        return key

    def show(self, labels: LabelValues) -> None:
        """Have the series of *labels* there, at zero, if there is a place for it."""
        if labels not in self.values and self._taken < self._places // 2:
            self._take(labels)
            self.values[labels] = self._zero()
            self._show_overflow()

    def restore(self, labels: LabelValues, value: T) -> None:
        """Set the series of *labels* to what was counted before a restart."""
        if labels not in self.values and labels not in self._known:
            self._take(labels)
        self.values[labels] = value

    def holds(self, session: str) -> bool:
        """Tell whether the session has series."""
        return session in self._by_session

    def sessions(self) -> Iterable[str]:
        """Give the sessions that have series."""
        return self._by_session.keys()

    def withdraw(self, session: str) -> list[LabelValues]:
        """Remove the series of a session that ended, and tell which these were."""
        gone = self._by_session.pop(session, [])
        self._taken -= len(gone)
        self.withdrawn += len(gone)
        for key in gone:
            self.values.pop(key, None)
        return gone

    def _take(self, labels: LabelValues) -> None:
        self._taken += 1
        if self._session is not None:
            self._by_session.setdefault(labels[self._session], []).append(labels)

    def _show_overflow(self) -> None:
        if not self.is_closed and self._taken >= self._places // 2:
            self._show_known()

    def _show_known(self) -> None:
        for key in self._known:
            if key not in self.values:
                self.values[key] = self._zero()
