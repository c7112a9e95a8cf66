"""Erase payloads in place; the chain is proven as before, by their salted digests."""

import os
from collections.abc import Callable

from ..events import HypervisorEvent
from .encoding import BadEventError, event_of
from .event_index import remove_index
from .frames import EVENT, erased
from .runs import Run
from .segment_reader import SegmentReader

_NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0)


def erase(run: Run, chosen: Callable[[HypervisorEvent], bool]) -> int:
    """Erase the payloads of the events of a run that are *chosen*.

    Args:
        run: Nobody may be writing it.
        chosen: Tells for an event.

    Returns:
        How many were erased.

    Raises:
        OSError: A segment cannot be written; those before it are done. Or the index of the
            journal cannot be removed, which is made of what was there before.
        ValueError: Its writer lives.
    """
    if run.is_alive():
        raise ValueError(f"{run.path} is being written: stop the process first")
    count = 0
    for _, path in run.segments():
        found = [
            (offset, erased(record))
            for offset, record in SegmentReader(path).records()
            if record.kind == EVENT and not record.erased and _is(chosen, record)
        ]
        if not found:
            continue
        descriptor = os.open(path, os.O_WRONLY | _NO_FOLLOW)
        try:
            for offset, record in found:
                os.pwrite(descriptor, record.to_bytes(), offset)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        count += len(found)
    if count:
        remove_index(run.path.parent)
    return count


def _is(chosen: Callable[[HypervisorEvent], bool], record: object) -> bool:
    try:
        return chosen(event_of(record))  # type: ignore[arg-type]  # of records()
    except BadEventError:
        return False
