"""Ends that wait for another one, which says what they came of.

Where the call of a model fails in a stream, pydantic-ai cancels the task that has begun its span,
and raises the error from the agent's. So a call that was cancelled has failed if its agent has.
"""

from collections.abc import Iterator
from contextlib import suppress

from hypervisor_genai.links import Ended, Link, Links
from hypervisor_observability.recorder.failure import was_cancelled

_SCOPES = frozenset({"pydantic-ai"})
_MOST = 100


def held_back(end: Ended, link: Link, links: Links) -> bool:
    """Keep the end of a model's call until that of its agent, if it depends on that."""
    if link.scope not in _SCOPES or link.work is None or link.work.kind != "model":
        return False
    if not _cancelled(end):
        return False
    agent = None if link.within is None else links.get(link.within)
    if agent is None or agent.work is None or agent.work.kind != "agent":
        return False
    held = agent.held
    if held is None or len(held) >= _MOST:
        return False
    held.append(end)
    if agent.held is None:  # it has ended meanwhile, in another thread
        with suppress(ValueError):
            held.remove(end)
            return False
    return True


def released_by(end: Ended, link: Link) -> Iterator[Ended]:
    """Give the ends that waited for *end*."""
    held, link.held = link.held, None
    failed = end.error is not None and not _cancelled(end)
    said = {name: end.told.get(name) for name in ("reason", "error_type")}
    while held:
        one = held.pop(0)
        yield one._replace(error=end.error, told={**one.told, **said}) if failed else one


def _cancelled(end: Ended) -> bool:
    if isinstance(end.error, BaseException):
        return was_cancelled(end.error)
    return end.told.get("status") == "cancelled"
