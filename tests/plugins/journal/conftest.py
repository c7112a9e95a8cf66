"""Journals that several files of tests begin with."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from hypervisor_journal.runs.runs import Run
from hypervisor_journal.writing.writer import JournalWriter
from tests.plugins.journal.journals import SEGMENT, write_run


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[JournalWriter]:
    writer = JournalWriter(tmp_path / "journal", segment_bytes=SEGMENT)
    yield writer
    writer.close()


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Of 600 events in three segments, closed."""
    run, _ = write_run(tmp_path / "journal", range(600))
    assert len(run.segments()) == 3
    return run
