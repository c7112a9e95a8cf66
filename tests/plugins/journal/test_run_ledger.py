"""The ledger of runs that have ended: what it says, and what becomes of what is damaged."""

import os
import zlib
from pathlib import Path

import pytest

from hypervisor_journal.runs.run_ledger import EndedRun, EndedSegment, RunLedger

RUN = EndedRun(5, 4096, [EndedSegment(0, 8192, 1.5)])


def looked(directory: Path) -> dict[str, EndedRun]:
    ledger = RunLedger(directory)
    ledger.look()
    return ledger.runs


def test_what_one_process_notes_another_reads(tmp_path: Path) -> None:
    reader, writer = RunLedger(tmp_path), RunLedger(tmp_path)
    assert not reader.look()
    writer.note("a", RUN)
    assert reader.look()
    assert not reader.look()
    writer.note("b", RUN._replace(end=7))
    writer.note("a", RUN._replace(end=6))
    writer.note_total(99)
    assert reader.look()

    assert {name: run.end for name, run in reader.runs.items()} == {"a": 6, "b": 7}
    assert reader.runs["b"].segments == [EndedSegment(0, 8192, 1.5)]
    assert reader.total == 99


def test_damaged_line_costs_itself_alone(tmp_path: Path) -> None:
    ledger = RunLedger(tmp_path)
    for name in ("a", "b", "c"):
        ledger.note(name, RUN)
    whole = ledger.path.read_bytes()
    lines = whole.split(b"\n")
    for place in range(len(whole)):
        changed = bytearray(whole)
        changed[place] ^= 1
        ledger.path.write_bytes(changed)
        found = looked(tmp_path)
        assert len(found) >= 1  # an end of line that is changed may cost two
        assert all(run == RUN for run in found.values())
        assert set(found) <= {"a", "b", "c"}
    ledger.path.write_bytes(whole[:-10])
    assert set(looked(tmp_path)) == {"a", "b"}
    RunLedger(tmp_path).note("d", RUN)  # behind a torn line
    assert set(looked(tmp_path)) == {"a", "b", "d"}
    assert len(lines) == 7


@pytest.mark.parametrize(
    "body",
    [b'["x",1,2]', b'["x",1,2,[],5]', b'["x",1,2,5]', b'["x",1,2,[[1]]]', b"[[],1,2,[]]", b"5"],
)
def test_line_of_another_release_is_passed_over(tmp_path: Path, body: bytes) -> None:
    ledger = RunLedger(tmp_path)
    ledger.note("a", RUN)
    with ledger.path.open("ab") as file:
        file.write(b"%08x %b\n" % (zlib.crc32(body), body))
    ledger.note("b", RUN)
    assert looked(tmp_path) == {"a": RUN, "b": RUN}


def test_ledger_leaves_out_what_has_gone(tmp_path: Path) -> None:
    ledger, other = RunLedger(tmp_path), RunLedger(tmp_path)
    for number in range(400):
        ledger.note(f"run-{number}", RUN)
    ledger.note_total(7)
    other.look()
    ledger.look()
    ledger.compact({f"run-{number}" for number in range(395, 400)})
    other.note("late", RUN)
    other.look()

    assert len(looked(tmp_path)) == 6
    assert set(other.runs) == {"late", *(f"run-{number}" for number in range(395, 400))}
    assert other.total == 7
    ledger.compact(set())
    assert not ledger.path.exists()
    other.look()
    assert other.runs == {}


def test_ledger_that_cannot_be_read_is_not_empty(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = RunLedger(tmp_path)
    ledger.note("a", RUN)

    def fail(*_: object) -> int:
        raise OSError(24, "Too many open files")

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", fail)
        with pytest.raises(OSError, match="Too many"):
            ledger.look()
        ledger.note("b", RUN)  # found out again by the next who looks
    assert set(ledger.runs) == {"a", "b"}
    assert set(looked(tmp_path)) == {"a"}
