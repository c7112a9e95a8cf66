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
    title = title_of(work)
    text = f"{work.kind} {title}" if title else work.kind
    if work.kind == "agent":
        # Frameworks give agents a name, and no other id.
        facts = [] if title == work.agent_did else [work.agent_did or ""]
        facts += [f"ring {work.ring}"] * bool(work.ring) + work.details
    else:
        facts = list(work.details)
        if work.agent_did is not None and work.agent_did != around:
            facts.append(f"by {work.agent_did}")
    if (usage := told_usage(work)) is not None:
        facts += usage_texts(usage)
    facts += marks(tree, work)
    return f"{text} ({', '.join(facts)})" if facts else text


def title_of(work: Work) -> str:
    """Name *work* beside its kind: where nobody named it, by the id of its span or agent."""
    if work.kind == "span":
        return work.span_id
    return work.title or (work.agent_did or "" if work.kind == "agent" else "")


def told_usage(work: Work) -> Usage | None:
    """Give what *work* used if its line tells that; of a saga and its parts the agents tell it."""
    return work.usage if work.kind in _USERS else None


def usage_texts(usage: Usage) -> list[str]:
    """Write for people what was used: tokens, and costs."""
    return [
        *[f"{usage.tokens:,} token{'s' * (usage.tokens != 1)}"] * bool(usage.tokens),
        *cost_texts(usage.cost, usage.estimated_cost),
    ]


def marks(tree: TraceTree, work: Work) -> list[str]:
    """Say what is odd about the span that *work* stands for."""
    node = tree.nodes[work.span_id]
    if work.parent is not None and work.parent.span_id == work.span_id:
        return []
    found = ["nothing recorded"] if not node.events else []
    if node.forged:
        found.append("its parent is disputed")
    if node.second_root:
        found.append("second root")
    return found


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
