"""Erase payloads in place; the chain is proven as before, by their salted digests.

What is erased is overwritten where it stands, and synced: a payload with its salt, and the
beginning of a record that its process did not live to finish. ``subject_traces`` does the same to
what was derived of payloads and kept beside them.
"""

import os
from collections.abc import Callable, Iterator

from ..events import HypervisorEvent
from .encoding import BadEventError, event_of
from .event_index import remove_index
from .frames import EVENT, Record, erased
from .runs import Run
from .segment_reader import Damage, SegmentReader

_NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0)
_STEP_BYTES = 1024 * 1024


def erase(
    run: Run,
    chosen: Callable[[HypervisorEvent], bool],
    on_damage: Callable[[Damage], object] = lambda _: None,
) -> int:
    """Erase the payloads of the events of a run that are *chosen*.

    Args:
        run: Nobody may be writing it.
        chosen: Tells for an event.
        on_damage: Told where records cannot be read: what stands behind is not erased.

    Returns:
        How many were erased.

    Raises:
        OSError: A segment cannot be read or written; those before it are done. Or the index of
            the journal cannot be removed, which is made of what was there before.
        ValueError: Its writer lives.
    """
    if run.is_alive():
        raise ValueError(f"{run.path} is being written: stop the process first")
    count = 0
    for _, path in run.segments():
        segment = SegmentReader(path)
        found = [
            (offset, erased(record))
            for offset, record in segment.records()
            if record.kind == EVENT and not record.erased and _is(chosen, record)
        ]
        if segment.damage is not None:
            on_damage(segment.damage)
        if not found and segment.torn is None:
            continue
        descriptor = os.open(path, os.O_WRONLY | _NO_FOLLOW)
        try:
            for offset, record in found:
                os.pwrite(descriptor, record.to_bytes(), offset)
            if segment.torn is not None:
                # It was never accepted, and nobody can tell whose it was.
                _clear(descriptor, segment.torn.offset)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        count += len(found)
    if count:
        remove_index(run.path.parent)
    return count


def events_of(run: Run) -> Iterator[tuple[Record, HypervisorEvent]]:
    """Give all events of a run that can be read, from segments that nobody reads any more too."""
    for _, path in run.segments():
        for _, record in SegmentReader(path).records():
            if record.kind == EVENT:
                try:
                    yield record, event_of(record)
                except BadEventError:
                    continue


def _clear(descriptor: int, offset: int) -> None:
    end = os.fstat(descriptor).st_size
    while offset < end:
        offset += os.pwrite(descriptor, bytes(min(_STEP_BYTES, end - offset)), offset)


def _is(chosen: Callable[[HypervisorEvent], bool], record: Record) -> bool:
    try:
        return chosen(event_of(record))
    except BadEventError:
        return False
