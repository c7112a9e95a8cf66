"""Choose the traces that ``hvobs tree`` draws."""

from collections.abc import Collection

import click
from attrs import field, frozen

from ..errors import AmbiguousIdError
from ..search.trace_lookup import find_traces
from ..stores import trace_key
from .recorded import Recorded, counted
from .traces import sum_up


@frozen
class Chosen:
    """Traces to draw.

    Attributes:
        keys: Their keys; None: all.
        notes: What to say of others, a line each.
    """

    keys: Collection[str] | None = None
    notes: list[str] = field(factory=list)

    @property
    def only(self) -> str | None:
        """The key of the trace, if it is one."""
        return next(iter(self.keys)) if self.keys is not None and len(self.keys) == 1 else None


def choose(source: Recorded, text: str | None, *, failed: bool, every: bool) -> Chosen:
    """Choose from what was recorded.

    Args:
        source: Where the traces are.
        text: An id, or the beginning of one; None: any trace.
        failed: Only traces in which something failed.
        every: All of them; else the newest.

    Raises:
        UsageError: Several ids begin with *text*.
    """
    if text is None and every and not failed:
        return Chosen()
    within = None if text is None else _named(source, text)
    if within is not None and not failed and (every or len(within) < 2):
        return Chosen(within)
    keys: list[str] = []

    def note(trace_id: str) -> None:
        if every:
            keys.append(trace_key(trace_id))

    newest = sum_up(source, 1, within=within, failed=failed, each=lambda one: note(one.trace_id))
    if not every:
        keys = [trace_key(one.trace_id) for one in newest]
    if not keys:
        return Chosen(keys, ["no trace failed"] if failed and source.events else [])
    if every or newest.count == 1:
        return Chosen(keys)
    traces = counted(newest.count, "failed trace" if failed else "trace")
    whose = "" if text is None else f" of {text}"
    listing = "hvobs traces --failed" if failed else "hvobs traces"
    return Chosen(
        keys, [f"the newest of {traces}{whose}: '{listing}' lists them, --all draws them"]
    )


def _named(source: Recorded, text: str) -> Collection[str]:
    """Give the keys of the traces that *text* names."""
    try:
        return find_traces(source.each, text)
    except AmbiguousIdError as error:
        raise click.UsageError(str(error)) from error
