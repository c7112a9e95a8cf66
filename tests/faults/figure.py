"""A figure of a case, and what several cases count."""

import os
from pathlib import Path

from attrs import frozen

from hypervisor_observability import Counts

_MIB = 1 << 20


@frozen(kw_only=True)
class Figure:
    """One figure.

    Attributes:
        fault: The row of the fault table.
        what: What was measured.
        value: As it is shown.
        goal: As it is shown; empty for none.
        holds: Whether the goal holds.
    """

    fault: str
    what: str
    value: str
    goal: str = ""
    holds: bool = True


def error_of(counts: Counts) -> int:
    """Give by how many events the accounts are wrong."""
    known = counts.delivered + counts.rejected + counts.dropped_total
    return abs(counts.emitted - known - counts.in_flight - counts.pending)


def resident_mib() -> float:
    """Give this process's resident memory."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / _MIB
