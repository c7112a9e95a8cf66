"""What is said of a piece of work in a tree, whoever draws it."""

from ..causality.trace_tree import TraceTree
from ..facts.usage import Usage, cost_texts
from .work import Work, walk

# They tell their reason; those around them only if nobody within did.
_TELLERS = frozenset({"step", "compensation", "elevation", "breach", "decision", "incident"})
# Their lines tell what models were used for, with all below them.
_USERS = frozenset({"run", "agent", "tool", "model"})


def label(tree: TraceTree, work: Work, around: str | None) -> str:
    """Say what *work* is: its kind, its title, and what else is worth a word on its line.

    Args:
        tree: Where it is.
        work: What is named.
        around: The agent that does what is around it, which is not named again.
    """
    text = f"{work.kind} {work.title}" if work.title else work.kind
    if work.kind == "span":
        text = f"span {work.span_id}"
    if work.kind == "agent":
        ring = [f"ring {work.ring}"] if work.ring else []
        if work.title == work.agent_did:  # frameworks give agents a name, and no other id
            facts = ring
        elif work.title:
            facts = [work.agent_did or "", *ring]
        else:
            text, facts = f"agent {work.agent_did or ''}", ring
        facts += work.details
    else:
        facts = list(work.details)
        if work.agent_did is not None and work.agent_did != around:
            facts.append(f"by {work.agent_did}")
    if work.usage is not None and work.kind in _USERS:
        facts += usage_texts(work.usage)
    facts += _marks(tree, work)
    return f"{text} ({', '.join(facts)})" if facts else text


def usage_texts(usage: Usage) -> list[str]:
    """Write for people what was used: tokens, and costs."""
    return [
        *[f"{usage.tokens:,} token{'s' * (usage.tokens != 1)}"] * bool(usage.tokens),
        *cost_texts(usage.cost, usage.estimated_cost),
    ]


def _marks(tree: TraceTree, work: Work) -> list[str]:
    node = tree.nodes[work.span_id]
    if work.parent is not None and work.parent.span_id == work.span_id:
        return []
    marks = ["nothing recorded"] if not node.events else []
    if node.forged:
        marks.append("its parent is disputed")
    if node.second_root:
        marks.append("second root")
    return marks


def telling(roots: list[Work]) -> set[int]:
    """Choose the work that tells its reason: the innermost of those that have the same one.

    An exception on its way out is the reason of every scope that it leaves: told once.
    """
    works = list(walk(roots))
    told = {work.reason for work in works if work.kind in _TELLERS}
    # Where the work below each ends, and where each reason was last met: counted from behind.
    position = {id(work): number for number, work in enumerate(works)}
    ends: dict[int, int] = {}
    met: dict[str, int] = {}
    tellers: set[int] = set()
    for number in range(len(works) - 1, -1, -1):
        work = works[number]
        last = position[id(work.children[-1])] if work.children else None
        ends[number] = number if last is None else ends[last]
        if work.reason and (work.kind in _TELLERS or work.reason not in told):
            if met.get(work.reason, len(works)) > ends[number]:
                tellers.add(id(work))
            met[work.reason] = number
    return tellers
