"""Which events each piece of work is about."""

from array import array
from bisect import bisect_right
from collections.abc import Sequence

from attrs import frozen

from hypervisor_observability.causality.trace_tree import TraceTree
from hypervisor_observability.tree.work import Work


@frozen(eq=False)
class Parts:
    """The events of rows, by the places that they had among all.

    Attributes:
        are_first: Whether each row is the first piece of work of its span.
        starts: Where the places of each row begin in *places*; last, where they end.
        places: The places, those of one row after those of another.
    """

    are_first: list[bool]
    starts: "array[int]"
    places: "array[int]"

    @property
    def counts(self) -> list[int]:
        """How many events each row is about."""
        return [after - before for before, after in zip(self.starts, self.starts[1:], strict=False)]

    def of(self, row: int) -> Sequence[int]:
        """Give the places of the events of a row, in order."""
        return self.places[self.starts[row] : self.starts[row + 1]]

    def row_of(self, place: int) -> int | None:
        """Give the first row that is about the event at *place*; None: there is none."""
        if place not in self.places:
            return None
        return bisect_right(self.starts, self.places.index(place)) - 1


def parts_of(tree: TraceTree, works: list[Work]) -> Parts:
    """Say which events each of *works* is about.

    The first piece of work of a span has all of its events but those that began or ended another
    one there; and what ended it, if another span told that.
    """
    place_of = {
        id(event): place
        for node in tree.nodes.values()
        for event, place in zip(node.events, node.positions, strict=True)
    }
    own = [
        [place_of[id(event)] for event in (work.begun, work.ended) if event is not None]
        for work in works
    ]
    met: set[str] = set()
    are_first = []
    of_others: dict[str, set[int]] = {}
    for work, places in zip(works, own, strict=True):
        is_first = work.span_id not in met
        met.add(work.span_id)
        are_first.append(is_first)
        if not is_first:
            of_others.setdefault(work.span_id, set()).update(places)
    starts, all_places = array("Q", [0]), array("Q")
    for work, places, is_first in zip(works, own, are_first, strict=True):
        if is_first:
            others = of_others.get(work.span_id, ())
            node_places = tree.nodes[work.span_id].positions
            places += [place for place in node_places if place not in others]
        all_places.extend(sorted(set(places)))
        starts.append(len(all_places))
    return Parts(are_first, starts, all_places)
