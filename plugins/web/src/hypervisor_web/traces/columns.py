"""The pieces of work of a trace as columns, in the order of its tree: small, however many."""

from collections.abc import Sequence
from typing import Any

from attrs import define, field, frozen

from hypervisor_observability.causality.trace_tree import TraceTree, build_tree
from hypervisor_observability.events.event import HypervisorEvent
from hypervisor_observability.facts import payload_facts
from hypervisor_observability.facts.prices import Prices
from hypervisor_observability.facts.usage import Usage, cost_texts, names_text
from hypervisor_observability.search.one_line import short_trace
from hypervisor_observability.tree.outline import outline
from hypervisor_observability.tree.wording import marks, telling, title_of, told_usage
from hypervisor_observability.tree.work import Work
from hypervisor_web.traces.parts import Parts, parts_of
from hypervisor_web.traces.texts import Texts
from hypervisor_web.traces.times import times_of

MOST_WORK = 100_000
"""Most pieces of work of an answer, the first in the order of the tree."""
_MOST_AGENTS = 1_000


@define(eq=False)
class Sparse:
    """A column of which most rows are empty.

    Attributes:
        at: The rows that are not, in order.
        value: What stands there.
    """

    at: list[int] = field(factory=list)
    value: list[int] = field(factory=list)

    def put(self, row: int, value: int) -> None:
        """Put *value* into *row*, which is below all rows so far."""
        self.at.append(row)
        self.value.append(value)

    def told(self) -> dict[str, list[int]]:
        """Give it as JSON has it."""
        return {"at": self.at, "value": self.value}


@frozen(eq=False)
class Columns:
    """What the page draws.

    Attributes:
        told: The columns, the texts and the agents, as JSON has them.
        begun_us: The moment that times count from, in microseconds since the epoch.
        keys: What names each row as long as its trace is kept.
        notices: What is left out, for people.
        parts: Which events each row is about.
    """

    told: dict[str, Any]
    begun_us: int
    keys: Sequence[int]
    notices: list[str]
    parts: Parts


def columns_of(
    events: Sequence[HypervisorEvent],
    arrivals: Sequence[int],
    trace_id: str,
    names: dict[str, str],
    prices: Prices | None,
) -> Columns:
    """Make the columns of a trace.

    Args:
        events: Its events, in the order of a history.
        arrivals: A number for each of them that it keeps when others come.
        trace_id: Any form of its id.
        names: The agents' names by their DIDs, as far as they are known.
        prices: To estimate costs that were not told; None: they are not estimated.
    """
    tree = build_tree(events, trace_id)
    roots = outline(tree, prices)
    works, depths = _in_order(roots)
    making = _Making(tree, names, telling(roots))
    making.notices += _notices(tree, roots, prices)
    if (count := len(works)) > MOST_WORK:
        making.notices.append(
            f"the first {MOST_WORK:,} of {count:,} pieces of work are shown, in the order of the"
            " tree"
        )
        works = works[:MOST_WORK]
    begun_us = min((event.timestamp_ns for event in events), default=0) // 1_000
    times = times_of(tree, works)
    for work, depth, (begun, ended) in zip(works, depths, times, strict=False):
        making.row(
            work,
            depth,
            max(0, begun - begun_us),
            None if ended is None else max(0, ended - begun_us),
        )
    parts = parts_of(tree, works)
    # An incident may be all that is known of its span, and stands below what it made known.
    keys = [
        2 * arrivals[work.position] + (not is_first)
        for work, is_first in zip(works, parts.are_first, strict=True)
    ]
    told = making.told(keys, parts.counts)
    return Columns(told, begun_us, keys, making.notices, parts)


@define(eq=False)
class _Making:
    """The columns while rows are added."""

    tree: TraceTree
    names: dict[str, str]
    tellers: set[int]
    notices: list[str] = field(factory=list)
    texts: Texts = field(factory=Texts)
    agents: dict[str, int] = field(factory=dict)
    dense: dict[str, list[Any]] = field(
        factory=lambda: {
            name: []
            for name in ("depth", "kind", "title", "state", "word", "begun", "ended", "agent")
        }
    )
    sparse: dict[str, Sparse] = field(
        factory=lambda: {
            name: Sparse()
            for name in ("ring", "details", "reason", "telling", "tokens", "cost", "link")
        }
    )

    def row(self, work: Work, depth: int, begun: int, ended: int | None) -> None:
        """Add a row; times are in microseconds since the beginning."""
        dense, number, row = self.dense, self.texts.number, len(self.dense["depth"])
        dense["depth"].append(depth)
        dense["kind"].append(number(work.kind))
        dense["title"].append(number(title_of(work)))
        dense["state"].append(number(work.state))
        dense["word"].append(number(work.word))
        dense["begun"].append(begun)
        dense["ended"].append(ended)
        dense["agent"].append(self._agent(work.agent_did))
        details = [*work.details, *marks(self.tree, work)]
        for name, text in (
            ("ring", work.ring),
            ("details", ", ".join(details)),
            ("reason", work.reason),
        ):
            if text:
                self.sparse[name].put(row, number(text))
        if id(work) in self.tellers:
            self.sparse["telling"].put(row, 1)
        if (usage := told_usage(work)) is not None:
            if usage.tokens:
                self.sparse["tokens"].put(row, usage.tokens)
            if cost := cost_texts(usage.cost, usage.estimated_cost):
                self.sparse["cost"].put(row, number(", ".join(cost)))
        caller = "" if work.begun is None else payload_facts.caller_trace(work.begun)
        if caller:
            self.sparse["link"].put(row, number(short_trace(caller) or ""))

    def told(self, keys: list[int], events: list[int]) -> dict[str, Any]:
        """Give all of it as JSON has it."""
        columns: dict[str, Any] = {**self.dense, "key": keys, "events": events}
        columns |= {name: column.told() for name, column in self.sparse.items()}
        agents = [{"did": did, "name": self.names.get(did, "")} for did in self.agents]
        if self.texts.left_out:
            self.notices.append(
                f"left out: {self.texts.left_out:,} of the names and reasons; there are too many"
            )
        return {"agents": agents, "texts": self.texts.all(), "columns": columns}

    def _agent(self, did: str | None) -> int:
        if did is None:
            return -1
        found = self.agents.get(did)
        if found is None:
            if len(self.agents) >= _MOST_AGENTS:
                return -1
            found = self.agents[did] = len(self.agents)
        return found


def _in_order(roots: list[Work]) -> tuple[list[Work], list[int]]:
    """Give each piece of work before those below it, and how deep each is."""
    works: list[Work] = []
    depths: list[int] = []
    waiting = [(work, 0) for work in reversed(roots)]
    while waiting:
        work, depth = waiting.pop()
        works.append(work)
        depths.append(depth)
        waiting.extend((child, depth + 1) for child in reversed(work.children))
    return works, depths


def _notices(tree: TraceTree, roots: list[Work], prices: Prices | None) -> list[str]:
    found = []
    if tree.unreadable:
        found.append(f"left out: {tree.unreadable:,} events with unreadable causal ids")
    total = Usage()
    for work in roots:
        total.add(work.usage or Usage())
    if prices is not None and total.estimated_cost:
        found.append(f"~ estimated by {prices.name}")
    if total.without_price:
        found.append(f"no price known: {names_text(total.without_price)}")
    return found
