"""Erase payloads in place; the chain is proven as before, by their salted digests.

What is erased is overwritten where it stands, and synced: a payload with its salt, and the
beginning of a record that its process did not live to finish. ``subject_traces`` does the same to
what was derived of payloads and kept beside them.

A record that was overwritten by half would be damage. So what is to stand there is written into
a file of its own first, and synced; whoever erases next finishes what was interrupted.
"""

import contextlib
import os
import struct
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from hypervisor_journal.format.encoding import BadEventError, event_of
from hypervisor_journal.format.frames import EVENT, Record, erased
from hypervisor_journal.reading.event_index import remove_index
from hypervisor_journal.reading.segment_reader import Damage, SegmentReader
from hypervisor_journal.runs.runs import SPARE_SUFFIX, Run
from hypervisor_observability.events.event import HypervisorEvent
from hypervisor_observability.files.atomic_file import replace_file
from hypervisor_observability.files.regular_file import open_regular

_UNFINISHED = "erasing"
"""File of a run that has what is being written over records of one segment."""

_NUMBER = struct.Struct("<Q")
_STRETCH = struct.Struct("<QQ")


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
    _finish_interrupted(run)
    _remove_spares(run)
    count = 0
    for _, path in run.segments():
        segment = SegmentReader(path)
        found = {
            offset: erased(record).to_bytes()
            for offset, record in segment.records()
            if record.kind == EVENT and not record.erased and _is(chosen, record)
        }
        if segment.damage is not None:
            on_damage(segment.damage)
        if found:
            replace_file(run.path / _UNFINISHED, _packed(path, found), sync=True)
            _overwrite(path, found)
            (run.path / _UNFINISHED).unlink()
        if segment.torn is not None:
            # It was never accepted, and nobody can tell whose it was.
            offset = segment.torn.offset
            _overwrite(path, {offset: bytes(max(0, path.stat().st_size - offset))})
        count += len(found)
    if count:
        remove_index(run.path.parent)
    return count


def _finish_interrupted(run: Run) -> None:
    try:
        data = (run.path / _UNFINISHED).read_bytes()
    except FileNotFoundError:
        return
    number, found, place = _NUMBER.unpack_from(data)[0], dict[int, bytes](), _NUMBER.size
    while place < len(data):
        offset, size = _STRETCH.unpack_from(data, place)
        place += _STRETCH.size
        found[offset] = data[place : place + size]
        place += size
    with contextlib.suppress(FileNotFoundError):  # the bounds of the directory removed it
        _overwrite(run.segment_path(number), found)
    (run.path / _UNFINISHED).unlink()


def _remove_spares(run: Run) -> None:
    """Remove what never became a segment; a copy of one may stand there."""
    for path in run.path.glob(f"*{SPARE_SUFFIX}"):
        with contextlib.suppress(FileNotFoundError):
            if not SegmentReader(path).is_blank():
                _overwrite(path, {0: bytes(path.stat().st_size)})
            path.unlink()


def _packed(path: Path, found: Mapping[int, bytes]) -> bytes:
    stretches = (_STRETCH.pack(offset, len(data)) + data for offset, data in found.items())
    return _NUMBER.pack(int(path.stem)) + b"".join(stretches)


def _overwrite(path: Path, found: Mapping[int, bytes]) -> None:
    with open_regular(path, os.O_WRONLY) as file:
        descriptor = file.fileno()
        for offset, data in found.items():
            written = 0
            while written < len(data):
                written += os.pwrite(descriptor, data[written:], offset + written)
        os.fsync(descriptor)


def events_of(run: Run) -> Iterator[tuple[Record, HypervisorEvent]]:
    """Give all events of a run that can be read, from segments that nobody reads any more too."""
    for _, path in run.segments():
        for _, record in SegmentReader(path).records():
            if record.kind == EVENT:
                try:
                    yield record, event_of(record)
                except BadEventError:
                    continue


def _is(chosen: Callable[[HypervisorEvent], bool], record: Record) -> bool:
    try:
        return chosen(event_of(record))
    except BadEventError:
        return False
