"""The thread beside the writer: syncing, anchors with keys that ratchet, and the bounds."""

import hmac
import os
import random
import threading
import time
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve, fields

from hypervisor_journal.config import JournalConfig
from hypervisor_journal.proof import anchors as anchors_module
from hypervisor_journal.proof.anchors import (
    Anchor,
    Anchorage,
    anchor_of,
    forged_among,
    read_anchors,
)
from hypervisor_journal.proof.key_files import make_key_file, take_run_key
from hypervisor_journal.proof.verification import Verdict, verify
from hypervisor_journal.runs.run_ledger import RunLedger
from hypervisor_journal.runs.runs import runs_of
from hypervisor_journal.upkeep.retention import Retention
from hypervisor_journal.upkeep.upkeep import Upkeep
from hypervisor_journal.writing.writer import JournalWriter
from hypervisor_observability import EventType, HypervisorEvent

RUN = bytes(range(16))
CHAIN = b"c" * 32
KEYS = {name.name for name in fields(JournalConfig)}


def append(writer: JournalWriter, count: int) -> None:
    for _ in range(count):
        writer.append(HypervisorEvent(event_type=EventType.VFS_WRITE), lambda _: None)


def make_upkeep(writer: JournalWriter, **options: object) -> Upkeep:
    table = {key: options.pop(key) for key in options.keys() & KEYS}
    values: dict[str, Any] = {"sync_seconds": 0.005, "max_bytes": 1 << 40, **table}
    config = JournalConfig(directory=writer.directory, **values)
    return Upkeep(writer=writer, config=config, **options)  # type: ignore[arg-type]  # as the test gives them


# Anchors


def test_anchor_is_what_is_read_from_its_file(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "anchors"
    anchorage = Anchorage.of(RUN, path, None)
    made = [anchorage.anchor(sequence, CHAIN) for sequence in (5, 9)]

    assert list(read_anchors(path)) == made
    assert [(anchor.sequence, anchor.number, anchor.mac) for anchor in made] == [
        (5, 0, ""),
        (9, 1, ""),
    ]
    assert path.stat().st_mode & 0o777 == 0o600


def test_anchors_of_every_run_are_genuine_by_the_first_key(tmp_path: Path) -> None:
    first_key = bytes.fromhex(make_key_file(tmp_path / "key"))
    anchors = []
    for number in range(3):
        run = os.urandom(16)
        key = take_run_key(tmp_path / "key", run)
        assert key.number == number
        assert key.key.hex() not in repr(key)
        anchorage = Anchorage.of(run, None, key)
        anchors += [anchorage.anchor(sequence, CHAIN) for sequence in range(4)]

    assert forged_among(anchors, first_key) == []
    for anchor in anchors:
        for forged in (
            evolve(anchor, sequence=anchor.sequence + 1),
            evolve(anchor, chain="00" * 32),
            evolve(anchor, number=anchor.number + 1),
            evolve(anchor, key_number=anchor.key_number + 1),
            evolve(anchor, run="no digits"),
            evolve(anchor, number=-1),
            evolve(anchor, number=10**9),
            evolve(anchor, mac=""),
        ):
            assert forged_among([forged], first_key) == [forged]
    assert forged_among([anchors[0]], b"another key") == [anchors[0]]


@pytest.mark.fault("J15")
def test_who_finds_the_key_file_cannot_forge_the_anchors_before(tmp_path: Path) -> None:
    first_key = bytes.fromhex(make_key_file(tmp_path / "key"))
    key = take_run_key(tmp_path / "key", RUN)
    anchorage = Anchorage.of(RUN, None, key)
    before = anchorage.anchor(100, CHAIN)
    stolen_file = bytes.fromhex((tmp_path / "key").read_text().split()[1])
    stolen_memory = anchorage._key
    assert stolen_memory is not None

    for stolen in (stolen_file, stolen_memory, hmac.new(stolen_file, RUN, sha256).digest()):
        forged = evolve(before, chain="00" * 32, mac="")
        forged = evolve(forged, mac=hmac.new(stolen, forged.message(), sha256).hexdigest())
        assert forged_among([forged], first_key) == [forged]
    assert first_key.hex() not in (tmp_path / "key").read_text()


def test_key_file_is_made_once_and_is_its_owners_alone(tmp_path: Path) -> None:
    key = make_key_file(tmp_path / "key")
    assert len(bytes.fromhex(key)) == 32
    assert (tmp_path / "key").stat().st_mode & 0o777 == 0o600
    with pytest.raises(FileExistsError):
        make_key_file(tmp_path / "key")


@pytest.mark.parametrize("content", [b"", b"0 zz", b"0 00", b"x " + b"00" * 32, b"\xff\xfe"])
def test_file_that_holds_no_key_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "key").write_bytes(content)
    with pytest.raises(ValueError, match="hvobs journal key"):
        take_run_key(tmp_path / "key", RUN)


@pytest.mark.parametrize(
    "line",
    ["", "{", "5", "[]", '{"run": "x"}', '{"run": 1, "sequence": "x", "chain": 1, "number": 1}'],
)
def test_line_that_is_no_anchor_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "anchors"
    Anchorage.of(RUN, path, None).anchor(1, CHAIN)
    with path.open("a") as file:
        file.write(line + "\n")

    with pytest.raises(ValueError, match="line 2: no anchor"):
        list(read_anchors(path))


def test_anchor_behind_a_torn_line_has_a_line_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "anchors"
    path.write_text('{"run": "00')
    made = Anchorage.of(RUN, path, None).anchor(1, CHAIN)
    told: list[str] = []
    assert list(read_anchors(path, told.append)) == [made]
    assert len(told) == 1


def test_anchor_can_be_read_from_an_events_payload() -> None:
    anchor = Anchor("ab", 1, "cd", 2, 3, "ef")
    values = {
        "run": "ab", "sequence": 1, "chain": "cd", "number": 2, "key_number": 3, "mac": "ef"
    }  # fmt: skip
    assert anchor_of(values) == anchor


# The thread


def test_events_are_synced_soon_and_anchored(
    tmp_path: Path, wait_until: Callable[..., None]
) -> None:
    first_key = bytes.fromhex(make_key_file(tmp_path / "key"))
    announced: list[Anchor] = []
    writer = JournalWriter(tmp_path / "journal", segment_bytes=65_536)
    upkeep = make_upkeep(
        writer,
        anchor_file=tmp_path / "anchors",
        anchor_key_file=tmp_path / "key",
        checkpoint_events=100,
        announce=announced.append,
    )
    upkeep.begin()
    append(writer, 150)
    wait_until(lambda: writer.synced.sequence == 150)
    wait_until(lambda: announced)
    append(writer, 10)
    upkeep.end(30)

    (run,) = runs_of(tmp_path / "journal")
    anchors = list(read_anchors(tmp_path / "anchors"))
    assert anchors[0] == announced[0]
    assert anchors[-1].sequence == 160  # the last one is made at the end, and not announced
    assert forged_among(anchors, first_key) == []
    assert verify(run, anchors).verdict is Verdict.PROVEN
    assert not run.is_alive()


def test_checkpoint_is_due_after_a_time_but_not_for_its_own_announcement(
    tmp_path: Path, wait_until: Callable[..., None]
) -> None:
    announced: list[Anchor] = []
    writer = JournalWriter(tmp_path, segment_bytes=65_536)

    def announce(anchor: Anchor) -> None:
        announced.append(anchor)
        append(writer, 1)

    upkeep = make_upkeep(writer, checkpoint_seconds=0.001, announce=announce)
    upkeep.begin()
    append(writer, 3)
    wait_until(lambda: announced)
    wait_until(lambda: writer.synced.sequence == 4)
    for _ in range(20):
        upkeep._stopping.wait(0.005)
    upkeep.end(30)

    assert [anchor.sequence for anchor in announced][-1] <= 3
    assert len(announced) <= 2


@pytest.mark.parametrize("content", [None, "no key"])
def test_key_that_cannot_be_had_is_told_and_anchors_are_made_without(
    tmp_path: Path, content: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    if content is not None:
        (tmp_path / "key").write_text(content)
    writer = JournalWriter(tmp_path / "journal", segment_bytes=65_536)
    upkeep = make_upkeep(writer, anchor_file=tmp_path / "anchors", anchor_key_file=tmp_path / "key")
    upkeep.begin()
    append(writer, 3)
    upkeep.end(30)

    assert [anchor.mac for anchor in read_anchors(tmp_path / "anchors")] == [""]
    assert "anchors have no HMAC" in caplog.text


@pytest.mark.fault("J3")
def test_upkeep_goes_on_when_anchors_cannot_be_written(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, wait_until: Callable[..., None]
) -> None:
    (tmp_path / "file").write_text("in the way")
    writer = JournalWriter(tmp_path / "journal", segment_bytes=65_536)
    upkeep = make_upkeep(writer, anchor_file=tmp_path / "file" / "anchors", checkpoint_events=1)
    upkeep.begin()
    append(writer, 3)
    wait_until(lambda: "upkeep" in caplog.text)
    append(writer, 3)
    wait_until(lambda: writer.synced.sequence == 6)
    upkeep.end(30)


def test_bounds_are_kept_and_told(tmp_path: Path, wait_until: Callable[..., None]) -> None:
    writer = JournalWriter(tmp_path, segment_bytes=65_536)
    upkeep = make_upkeep(writer, retention=Retention(200_000))
    upkeep.begin()
    for _ in range(40):
        append(writer, 100)
        wait_until(lambda: writer.synced.sequence == writer.next_sequence)
    wait_until(lambda: 0 < upkeep.bytes <= 200_000)
    upkeep.end(30)

    (run,) = runs_of(tmp_path)
    assert run.segments()[0][0] > 0


def test_thread_that_the_system_refuses_is_told_and_the_run_is_closed_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    writer = JournalWriter(tmp_path, segment_bytes=65_536)
    upkeep = make_upkeep(writer)
    upkeep.begin()
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        append(writer, 3)
    assert "nothing syncs it" in caplog.text
    upkeep.end(30)

    (run,) = runs_of(tmp_path)
    ledger = RunLedger(tmp_path)
    ledger.look()
    assert ledger.runs[run.path.name].end == 3


def test_upkeep_that_never_began_ends(tmp_path: Path) -> None:
    upkeep = make_upkeep(JournalWriter(tmp_path))
    upkeep.begin()
    upkeep.end(30)
    assert list(runs_of(tmp_path)) == []


def made_anchors(key_file: Path, runs: int, anchors: int) -> list[Anchor]:
    made = []
    for number in range(runs):
        run = number.to_bytes(16)
        key = take_run_key(key_file, run)
        if number % 3:  # a run may end before its first anchor
            anchorage = Anchorage.of(run, None, key)
            made += [anchorage.anchor(one, bytes(32)) for one in range(anchors)]
    return made


@pytest.mark.fault("J13")
def test_many_anchors_are_checked_with_each_key_derived_once(tmp_path: Path) -> None:
    key_file = tmp_path / "key"
    first_key = bytes.fromhex(make_key_file(key_file))
    anchors = made_anchors(key_file, 60, 250)
    random.Random(1).shuffle(anchors)
    derived = 0

    def counted(*data: bytes) -> Any:
        nonlocal derived
        derived += bool(data)
        return sha256(*data)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(anchors_module, "sha256", counted)
        assert forged_among(anchors, first_key) == []
    # As many as there are keys between, and some that the HMAC itself takes.
    assert derived <= 60 + 40 * 250 + 10 * len(anchors)

    bad = [evolve(anchors[7], sequence=5_000), evolve(anchors[8], mac="00" * 32)]
    assert set(forged_among([*bad, *anchors], first_key)) == set(bad)
    assert len(forged_among(anchors, b"another")) == len(anchors)


@pytest.mark.parametrize(
    "hostile",
    [
        {"number": 2**62},
        {"key_number": 2**62},
        {"key_number": 10**7},
        {"run": "no digits"},
        {"chain": "\ufffd"},
        {"number": -1},
    ],
)
def test_hostile_anchor_costs_nothing_and_hides_no_other(
    tmp_path: Path, hostile: dict[str, Any]
) -> None:
    key_file = tmp_path / "key"
    first_key = bytes.fromhex(make_key_file(key_file))
    anchors = made_anchors(key_file, 5, 3)
    bad = [evolve(anchors[0], **hostile, sequence=number) for number in range(1_000)]
    begun = time.process_time()
    assert set(forged_among([*bad, *anchors], first_key)) == set(bad)
    assert time.process_time() - begun < 20  # each alone would take longer than anybody lives


@pytest.mark.parametrize(
    "line",
    [
        '{"run": 5}',
        "[]",
        '"text"',
        "1e999",
        '{"run": "00", "sequence": 1e999, "chain": "00", "number": 0, "key_number": 0, "mac": ""}',
        '{"run": "00", "sequence": true, "chain": "00", "number": 0, "key_number": 0, "mac": ""}',
        '{"run": "00", "sequence": -1, "chain": "00", "number": 0, "key_number": 0, "mac": ""}',
        '{"run": "xy", "sequence": 1, "chain": "00", "number": 0, "key_number": 0, "mac": ""}',
        "9" * 5_000,
        "[" * 900,
    ],
)
def test_line_of_odd_values_is_no_anchor(tmp_path: Path, line: str) -> None:
    path = tmp_path / "anchors"
    path.write_text(line + "\n")
    with pytest.raises(ValueError, match="line 1: no anchor"):
        list(read_anchors(path))


def test_file_without_an_end_is_not_read_to_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(anchors_module, "MAX_ANCHORS", 10)
    path = tmp_path / "anchors"
    Anchorage.of(bytes(16), path, None).anchor(1, bytes(32))
    path.write_text(path.read_text() * 11)
    with pytest.raises(ValueError, match="more than 10 anchors"):
        list(read_anchors(path))
