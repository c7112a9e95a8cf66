"""Which series an observation belongs to, and how many series there may be."""

from collections.abc import Iterable, Mapping
from itertools import product

from .families import LabelValues
from .labels import MAX_SERIES, OTHER

Labels = Mapping[str, tuple[str, ...]]
"""Names of labels, each with its values where they are known in advance; else ``()``."""

NO_LABELS: Labels = {}
_SESSION = "session_id"


class SeriesKeys:
    """The label values of one metric's series, at most so many and one; see ``limit``.

    What comes beyond goes to the overflow series, from its first observation: its labels are
    ``other``, but for those whose values are known in advance, so that sums by those stay
    exact. The overflow series is there at zero before it is needed, so that what it takes is
    visible to ``increase()``; and series that are only zeros take no more than half of the
    places.

    Args:
        labels: Its labels.
    """

    def __init__(self, labels: Labels) -> None:
        self.known: tuple[LabelValues, ...] = tuple(
            product(*(values or (OTHER,) for values in labels.values()))
        )
        """Label values of the overflow series; of all series where every label is fixed."""
        self.is_closed = all(labels.values())
        self.overflowed = 0
        """Observations that went to an overflow series."""
        self.withdrawn = 0
        """Series that were withdrawn, since their session has ended."""
        self._open = tuple(not values for values in labels.values())
        self._session = list(labels).index(_SESSION) if _SESSION in labels else None
        self._by_session: dict[str, list[LabelValues]] = {}
        self._taken = 0
        self.limit(MAX_SERIES)

    def limit(self, max_series: int) -> None:
        """Have at most *max_series* series from now on, beside that of the overflow."""
        self._places = max_series + 1 - len(self.known)

    def place(self, labels: LabelValues) -> LabelValues:
        """Give the label values of the series for an observation with new *labels*."""
        if self._taken >= self._places:
            self.overflowed += 1
            return self._overflow(labels)
        self.take(labels)
        return labels

    def place_for_zero(self, labels: LabelValues) -> bool:
        """Tell whether there is a place for a series that has nothing to show yet."""
        if self._taken >= self._places // 2:
            return False
        self.take(labels)
        return True

    def take(self, labels: LabelValues) -> None:
        """Note a new series."""
        self._taken += 1
        if self._session is not None:
            self._by_session.setdefault(labels[self._session], []).append(labels)

    @property
    def needs_overflow(self) -> bool:
        """Whether the overflow series should be there: half of the places are taken."""
        return not self.is_closed and self._taken >= self._places // 2

    def holds(self, session: str) -> bool:
        """Tell whether the session has series."""
        return session in self._by_session

    def sessions(self) -> Iterable[str]:
        """Give the sessions that have series."""
        return self._by_session.keys()

    def withdraw(self, session: str) -> list[LabelValues]:
        """Free the places of the session's series, and tell which these are."""
        gone = self._by_session.pop(session, [])
        self._taken -= len(gone)
        self.withdrawn += len(gone)
        return gone

    def _overflow(self, labels: LabelValues) -> LabelValues:
        return tuple(
            OTHER if is_open else value for is_open, value in zip(self._open, labels, strict=True)
        )
