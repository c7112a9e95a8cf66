"""What the page asks to find its way among many events: how many there were when, which is next."""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from http import HTTPStatus

from attrs import define, frozen

from hypervisor_observability.serving.pages import Page, Refused, Request
from hypervisor_web.answers import json_page
from hypervisor_web.feed.moments import Moments
from hypervisor_web.feed.observers import Observers
from hypervisor_web.feed.questions import number, view_of

_MOST_PARTS = 1_000


@frozen
class _Found:
    """The events of a view that are there.

    Attributes:
        next: The ordinal after the last one.
        positions: Their positions, rising.
    """

    next: int
    positions: Sequence[int]

    @property
    def oldest(self) -> int:
        return self.next - len(self.positions)

    def index(self, ordinal: int) -> int:
        """Where an ordinal stands among the positions, within their bounds."""
        return max(0, min(len(self.positions), ordinal - self.oldest))


@define(eq=False)
class Seeking:
    """The answers.

    Attributes:
        observers: The newest events; *moments* is one of their boards.
        moments: When they came.
    """

    observers: Observers
    moments: Moments

    def pages(self) -> dict[str, Callable[[Request], Page]]:
        """Give them by their paths."""
        return {"/api/density": self.density, "/api/seek": self.seek}

    def density(self, request: Request) -> Page:
        """Count a view's events in parts of equal time."""
        parts = number(request.query, "parts", _MOST_PARTS) or 1
        found = self._found(request)
        with self.observers.lock:
            return json_page(
                {"oldest": found.oldest, "next": found.next, **self._parts(found, parts)}
            )

    def seek(self, request: Request) -> Page:
        """Find an event of a view: at a position, or the next that went wrong."""
        query = request.query
        position, after, before = (number(query, name) for name in ("position", "after", "before"))
        found = self._found(request)
        positions = found.positions
        with self.observers.lock:
            if position is not None:
                at = bisect_left(positions, position)
                index = at if at < len(positions) else None
            elif after is not None:
                index = next(self._wrong(found, found.index(after + 1), len(positions)), None)
            elif before is not None:
                index = next(self._wrong_backwards(found, found.index(before)), None)
            else:
                raise Refused(HTTPStatus.BAD_REQUEST, "expected position, after or before")
        if index is None:
            return json_page({"ordinal": None, "position": None})
        return json_page({"ordinal": found.oldest + index, "position": positions[index]})

    def _found(self, request: Request) -> _Found:
        view = view_of(self.observers, request.query)
        oldest, following = view.look()
        return _Found(following, view.positions(oldest, following))

    def _parts(self, found: _Found, parts: int) -> dict[str, object]:
        positions = found.positions
        if not positions:
            return {"begun": None, "ended": None, "counts": [], "wrong": [], "firsts": []}
        begun, ended = self.moments.at(positions[0]), self.moments.at(positions[-1])
        width = max(1, ended - begun) / parts
        bounds = [
            bisect_left(positions, self.moments.since(begun + width * part))
            for part in range(parts)
        ]
        wrong = [0] * parts
        for index in self._wrong(found, 0, len(positions)):
            wrong[bisect_right(bounds, index) - 1] += 1
        ends = [*bounds[1:], len(positions)]
        return {
            "begun": begun,
            "ended": ended,
            "counts": [end - first for first, end in zip(bounds, ends, strict=True)],
            "wrong": wrong,
            "firsts": [found.oldest + first for first in bounds],
        }

    def _wrong(self, found: _Found, first: int, last: int) -> Iterator[int]:
        """Give which of the view went wrong, from index *first* to before *last*."""
        if first >= last:
            return
        wrong, positions = self.moments.wrong, found.positions
        for place in range(bisect_left(wrong, positions[first]), len(wrong)):
            if (index := _index(positions, wrong[place])) is None:
                continue
            if index >= last:
                return
            yield index

    def _wrong_backwards(self, found: _Found, last: int) -> Iterator[int]:
        if last <= 0:
            return
        wrong, positions = self.moments.wrong, found.positions
        for place in range(bisect_right(wrong, positions[last - 1]) - 1, -1, -1):
            if (index := _index(positions, wrong[place])) is not None:
                yield index


def _index(positions: Sequence[int], position: int) -> int | None:
    if isinstance(positions, range):
        return position - positions.start if position in positions else None
    at = bisect_left(positions, position)
    return at if at < len(positions) and positions[at] == position else None
