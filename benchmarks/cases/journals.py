"""Journals for the cases: beside the environments of the benchmarks, and removed again."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.cases.events import SESSIONS, TYPES, agent_of
from hypervisor_journal.writing.writer import JournalWriter
from hypervisor_observability import HypervisorEvent

SEGMENT_BYTES = 16 * 1024 * 1024
"""The default."""

_RECORD_BYTES = 270  # of the events below, with an empty text, at least
_FOLDER = Path(".cache")  # /tmp may be memory


@contextmanager
def directory() -> Iterator[Path]:
    """Give a directory for a journal. A side is killed at its end: within a round, please."""
    _FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=_FOLDER, prefix="journal-") as name:
        yield Path(name)


def make_events(count: int, record_bytes: int = 0) -> Iterator[HypervisorEvent]:
    """Make events: sessions, agents and types in turn; records of *record_bytes* at least."""
    text = "x" * max(0, record_bytes - _RECORD_BYTES)
    for number in range(count):
        session = number % len(SESSIONS)
        yield HypervisorEvent(
            event_type=TYPES[number % len(TYPES)],
            session_id=SESSIONS[session],
            agent_did=agent_of(session),
            payload={"tool": text or "shell_exec", "ring": number % 4},
        )


def write(journal: Path, events: Iterator[HypervisorEvent]) -> None:
    """Journal *events*."""
    writer = JournalWriter(journal, segment_bytes=SEGMENT_BYTES)
    for event in events:
        writer.append(event, _ignore)
    writer.close()


def _ignore(_event: HypervisorEvent) -> None:
    pass
