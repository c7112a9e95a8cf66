"""What a dead process has left of its run: tidied up once, by who finds it first.

Dead is for ever: nobody writes a run after its process. So several who tidy the same one at once,
or one after another, come to the same.
"""

import contextlib
import os
from collections.abc import Callable
from pathlib import Path

from hypervisor_journal.format.frames import HEADER_BYTES
from hypervisor_journal.reading.reader import RunReader
from hypervisor_journal.reading.segment_reader import Damage, SegmentReader
from hypervisor_journal.runs.run_ledger import RunLedger
from hypervisor_journal.runs.runs import LOCK_NAME, SPARE_SUFFIX, Run
from hypervisor_observability.files.regular_file import open_regular

_STEP_BYTES = 1024 * 1024
_LEAST_BYTES = 4096
"""Less is not worth a change of the file."""


class RunLivesError(OSError):
    """A run that was taken for dead is being written."""


def end_of(
    run: Run, ledger: RunLedger, on_damage: Callable[[Damage], object] = lambda _: None
) -> int:
    """Give the sequence number behind the last event of a dead *run*.

    The first time it is read; then it is tidied up, and its end is in the ledger. The end of a
    damaged run stays out of the file: each process that needs it comes across the damage itself.

    Raises:
        OSError: It cannot be read at present.
        RunLivesError: Its process lives: what it has mapped may not be cut.
    """
    known = ledger.runs.get(run.path.name)
    if known is not None:
        return known.end
    if run.is_written():
        raise RunLivesError(f"{run.path} is being written")
    damages: list[Damage] = []
    end = RunReader(run, damages.append).bounds[1]
    for damage in damages:
        on_damage(damage)
    # Who may read a directory need not be allowed to write it: then somebody else tidies up.
    with contextlib.suppress(OSError):
        tidy_up(run)
        ledger.note(run.path.name, run.ended(end), to_all=not damages)
    return end


def tidy_up(run: Run) -> None:
    """Give back what the process of a dead *run* had allocated, and not used.

    Where somebody removed the lock, nothing proves that the process is dead: then it is left.

    Raises:
        OSError: Something of it cannot be done.
    """
    if not (run.path / LOCK_NAME).exists():
        return
    for spare in run.path.glob(f"*{SPARE_SUFFIX}"):
        spare.unlink(missing_ok=True)
    segments = run.segments()
    if segments:
        _give_back(segments[-1][1])


def _give_back(path: Path) -> None:
    """Cut the zeros off the end of a segment, and leave its time what it is."""
    status = path.stat()
    end, reader = HEADER_BYTES, SegmentReader(path)
    for offset, record in reader.records():
        end = offset + record.size
    if reader.damage is not None:
        return  # as it is, it tells more
    with open_regular(path, os.O_RDWR) as file:
        descriptor = file.fileno()
        end = max(end, _end_of_data(descriptor, end))
        if status.st_size - end >= _LEAST_BYTES:
            os.ftruncate(descriptor, end)
            os.utime(descriptor, ns=(status.st_atime_ns, status.st_mtime_ns))


def _end_of_data(descriptor: int, start: int) -> int:
    """Give the byte behind the last one from *start* on that is not zero: a torn record's."""
    end = offset = start
    while data := os.pread(descriptor, _STEP_BYTES, offset):
        held = len(data.rstrip(b"\0"))
        if held:
            end = offset + held
        offset += len(data)
    return end
