"""When pieces of work began and ended, also where that was not recorded."""

from hypervisor_observability.causality.trace_tree import TraceTree
from hypervisor_observability.events.event import HypervisorEvent
from hypervisor_observability.tree.work import Work

Times = tuple[int, int | None]


def times_of(tree: TraceTree, works: list[Work]) -> list[Times]:
    """Give when each began and ended, in microseconds since the epoch; None: it goes on.

    A beginning that was not recorded is that of the earliest event of the span, or of what is
    below it; the end of a span of which nothing else is known is that of the latest.

    Args:
        tree: Where they are.
        works: Each before those below it.
    """
    row_of = {id(work): row for row, work in enumerate(works)}
    begins = [_us(work.begun) for work in works]
    ends = [_us(work.ended) for work in works]
    go_on = [work.ended is None and work.state == "running" for work in works]
    for row, work in enumerate(works):
        is_vague = ends[row] is None and not go_on[row]
        if begins[row] is None or is_vague:
            moments = [event.timestamp_ns // 1_000 for event in tree.nodes[work.span_id].events]
            begins[row] = _least(begins[row], *moments)
            if is_vague:
                ends[row] = max(moments, default=None)
    for row in range(len(works) - 1, -1, -1):
        above = row_of.get(id(works[row].parent))
        if above is None:
            continue
        if works[above].begun is None:
            begins[above] = _least(begins[above], begins[row])
        if works[above].ended is None:
            go_on[above] = go_on[above] or go_on[row]
            ends[above] = max(ends[above] or 0, ends[row] or 0)
    found: list[Times] = []
    for row, work in enumerate(works):
        begun = begins[row]
        if begun is None:  # nothing was recorded of it, nor of anything below it
            above = row_of.get(id(work.parent))
            begun = 0 if above is None else found[above][0]
        found.append((begun, None if go_on[row] else max(begun, ends[row] or 0)))
    return found


def _us(event: HypervisorEvent | None) -> int | None:
    return None if event is None else event.timestamp_ns // 1_000


def _least(*moments: int | None) -> int | None:
    return min((moment for moment in moments if moment is not None), default=None)
