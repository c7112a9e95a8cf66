"""Leave of a tree what is in some states, and what is around that."""

from collections.abc import Collection

from .work import State, Work, walk


def prune(roots: list[Work], states: Collection[State]) -> int:
    """Take out of *roots*, and of all below, what is in none of the *states* and leads to nothing
    that is; give how many pieces of work that were.
    """
    works = list(walk(roots))
    kept: set[int] = set()
    for work in reversed(works):  # what is below comes first
        if work.state in states or any(id(child) in kept for child in work.children):
            kept.add(id(work))
    for work in works:
        work.children[:] = [child for child in work.children if id(child) in kept]
    roots[:] = [work for work in roots if id(work) in kept]
    return len(works) - len(kept)
