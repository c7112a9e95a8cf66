"""Tokens and cost of work, with all that it caused: each report counts once."""

from collections.abc import Iterable

from attrs import frozen

from ..causality.trace_tree import TraceTree
from ..events.event import HypervisorEvent
from ..events.event_types import USAGE_RECORDED
from ..facts.leaves import Leaves
from ..facts.prices import Prices
from ..facts.usage import Usage, Used, used
from .work import Outline, Work, walk


def add_usage(found: Outline, tree: TraceTree, prices: Prices | None) -> None:
    """Tell each piece of work what it used, with all below it.

    A report that sums up others is left out, by the rule of the metrics.
    """
    leaves, reports = Leaves(), []
    for depth, node in tree.walk():
        for event in node.events:
            leaves.note(event)
            if event.event_type == USAGE_RECORDED:
                reports.append(_Report(event, node.span_id, depth, used(event, prices)))
    if not reports:
        return
    # In their order, as a total comes after its parts; of the same time the inner one first. In
    # microseconds, as they are written down: events that were read back give the same tree.
    reports.sort(key=lambda one: (one.event.timestamp_ns // 1_000, -one.depth))
    for one in reports:
        if not leaves.is_total(one.event, one.used.amounts):
            work = found.mains[one.span_id]
            work.usage = work.usage or Usage()
            work.usage.take(one.used)
    _sum_up(walk(found.roots))


@frozen
class _Report:
    event: HypervisorEvent
    span_id: str
    depth: int
    used: Used


def _sum_up(works: Iterable[Work]) -> None:
    """Add what each piece of work used to what is around it, the innermost first."""
    for work in reversed(list(works)):
        below, above = work.usage, work.parent
        if below is not None and above is not None:
            above.usage = above.usage or Usage()
            above.usage.add(below)
