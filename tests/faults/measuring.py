"""What several cases measure, and where they write."""

import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hypervisor_observability import Counts, EventType, Observability

_MIB = 1 << 20


def error_of(counts: Counts) -> int:
    """Give by how many events the accounts are wrong."""
    known = counts.delivered + counts.rejected + counts.dropped_total
    return abs(counts.emitted - known - counts.in_flight - counts.pending)


def resident_mib() -> float:
    """Give this process's resident memory."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / _MIB


def p99_of_emit(observability: Observability, pause_every: int = 0) -> float:
    """Give the seconds that 99 of 100 calls of ``emit`` take at most.

    :param pause_every: After so many, pause as a busy application does; 0 for never.
    """
    observability.bus.record(EventType.VFS_WRITE)
    time.sleep(0.3)
    times = []
    for number in range(1, 10_001):
        start = time.perf_counter_ns()
        observability.bus.record(EventType.VFS_WRITE, payload={"a": 1})
        times.append(time.perf_counter_ns() - start)
        if pause_every and number % pause_every == 0:
            time.sleep(0.001)
    return sorted(times)[len(times) * 99 // 100] / 1e9


def slope(samples: list[tuple[float, float]]) -> float:
    """Give by how much the size grows in a second, from (seconds, size)."""
    times = [time_ for time_, _ in samples]
    sizes = [size for _, size in samples]
    mean_time, mean_size = sum(times) / len(times), sum(sizes) / len(sizes)
    above = sum((t - mean_time) * (s - mean_size) for t, s in samples)
    below = sum((t - mean_time) ** 2 for t in times)
    return above / below if below else 0.0


@contextmanager
def temporary_directory() -> Iterator[Path]:
    """Make a directory that lasts as long as the block."""
    with tempfile.TemporaryDirectory(prefix="hvobs-faults-") as name:
        yield Path(name)
