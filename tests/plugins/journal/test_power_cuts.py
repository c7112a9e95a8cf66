"""The power goes after each call that changes the disk: what was promised by then is there.

A disk is modelled by what POSIX promises. Of a file it holds what it held when that was synced
last; of a folder the names. All behind that may have reached it or not, sector by sector.
"""

import errno
import os
import random
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from hypervisor_journal.format.frames import SALT_BYTES
from hypervisor_journal.proof.erasure import erase
from hypervisor_journal.proof.key_files import make_key_file, take_run_key
from hypervisor_journal.proof.verification import Verdict, verify
from hypervisor_journal.reading.segment_reader import SegmentReader
from hypervisor_journal.runs.runs import runs_of
from hypervisor_journal.streams.cursor_files import CursorFile, read_cursor
from hypervisor_journal.streams.delivered_runs import DeliveredRuns
from hypervisor_journal.writing.segment_files import SegmentFile
from hypervisor_journal.writing.writer import JournalWriter
from hypervisor_observability import HypervisorEvent
from hypervisor_observability.files.atomic_file import replace_file
from tests.plugins.journal import journals
from tests.plugins.journal.journals import found_in
from tests.tracing import traced

SECTOR = 512
SEGMENT = 8 * 1024
CALLS = ("rename", "replace", "unlink", "ftruncate", "posix_fallocate", "pwrite", "write")
SYNCS = ("fsync", "fdatasync")


class Disk:
    """Records what is done to a folder, and what of it a power cut leaves.

    Args:
        root: The folder; all that is in it at the beginning was synced.
        monkeypatch: Puts the recorder into ``os``.

    Attributes:
        after_call: Called after each call that changes the disk, with the name of the call.
        fails: Whether syncs fail.
        calls: The names of the calls so far.
    """

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.root = root
        self.after_call: Callable[[str], object] = lambda _: None
        self.fails = False
        self.calls: list[str] = []
        self.dice = random.Random(6)
        self._cuts = 0
        # By the number of the inode: bytes of files, and names in folders with their inodes.
        self._bytes: dict[int, bytes] = {}
        self._names: dict[int, dict[str, tuple[int, bool]]] = {}
        for folder in (root, *(path for path in root.rglob("*") if path.is_dir())):
            self._sync_folder(folder)
            for path in folder.iterdir():
                if path.is_file():
                    self._bytes[path.stat().st_ino] = path.read_bytes()
        for name in CALLS:
            monkeypatch.setattr(os, name, self._recorded(name, getattr(os, name)))
        for name in SYNCS:
            monkeypatch.setattr(os, name, self._syncing(name, getattr(os, name)))
        store = SegmentFile.store

        def stored(segment: SegmentFile, *args: Any, **options: Any) -> int:
            end = store(segment, *args, **options)
            self._done("store")
            return end

        monkeypatch.setattr(SegmentFile, "store", stored)

    def _recorded(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def recorded(*args: Any, **options: Any) -> Any:
            result = call(*args, **options)
            self._done(name)
            return result

        return recorded

    def _syncing(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def syncing(descriptor: int) -> None:
            if self.fails:
                raise OSError(errno.EIO, "the disk fails")
            call(descriptor)
            path = Path(f"/proc/self/fd/{descriptor}")
            if path.is_dir():
                self._sync_folder(path.resolve())
            else:
                self._bytes[os.fstat(descriptor).st_ino] = path.read_bytes()
            self._done(name)

        return syncing

    def _sync_folder(self, folder: Path) -> None:
        self._names[folder.stat().st_ino] = self._names_in(folder)

    @staticmethod
    def _names_in(folder: Path) -> dict[str, tuple[int, bool]]:
        return {path.name: (path.stat().st_ino, path.is_dir()) for path in folder.iterdir()}

    def _done(self, name: str) -> None:
        self.calls.append(name)
        after, self.after_call = self.after_call, lambda _: None
        try:
            after(name)
        finally:
            self.after_call = after

    def cut(self, target: Path, kept: float, names: float | None = None) -> Path:
        """Give what a power cut leaves, where a share of what was not synced is there.

        Args:
            target: It is put into a folder in this one.
            kept: The share of sectors that are there though they were not synced.
            names: The same of folders; as *kept* if not given.
        """
        self._cuts += 1
        target /= str(self._cuts)
        now = {path.stat().st_ino: path for path in self.root.rglob("*")}
        now[self.root.stat().st_ino] = self.root
        self._leave(self.root.stat().st_ino, target, (kept, kept if names is None else names), now)
        return target

    def _leave(
        self, inode: int, target: Path, kept: tuple[float, float], now: dict[int, Path]
    ) -> None:
        target.mkdir(parents=True)
        names = self._names.get(inode, {})
        if inode in now and self.dice.random() < kept[1]:
            names = self._names_in(now[inode])
        for name, (child, is_folder) in names.items():
            if is_folder:
                self._leave(child, target / name, kept, now)
            else:
                (target / name).write_bytes(self._left_of(child, kept[0], now))

    def _left_of(self, inode: int, kept: float, now: dict[int, Path]) -> bytes:
        synced = self._bytes.get(inode, b"")
        if inode not in now or not kept:
            return synced
        written = now[inode].read_bytes()
        synced = synced[: len(written)].ljust(len(written), b"\0")
        return b"".join(
            (written if self.dice.random() < kept else synced)[start : start + SECTOR]
            for start in range(0, len(written), SECTOR)
        )


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Disk:
    root = tmp_path / "disk"
    root.mkdir()
    return Disk(root, monkeypatch)


def append(writer: JournalWriter, *numbers: int) -> None:
    journals.append(writer, *numbers, text="x" * 90)


@pytest.mark.fault("J6")
@pytest.mark.parametrize("failing", [False, True], ids=["sound", "failing now and then"])
def test_what_was_synced_is_there_after_a_power_cut_at_any_call(
    tmp_path: Path, disk: Disk, failing: bool
) -> None:
    writer = JournalWriter(disk.root / "journal", segment_bytes=SEGMENT)
    synced = 0

    def check(call: str) -> None:
        if call == "store" and disk.calls.count("store") % 8:
            return  # they are many, and much alike
        share = disk.dice.random()
        for kept, names in ((0.0, 0.0), (1.0, 1.0), (0.0, 1.0), (share, share)):
            found = found_in(disk.cut(tmp_path / "left", kept, names) / "journal")
            assert found[:synced] == list(range(synced)), (call, kept, names)
            assert found == sorted(set(found)), (call, kept, names)

    disk.after_call = check
    for number in range(160):
        append(writer, number)
        if number % 16 == 15:
            disk.fails = failing and number % 48 == 31
            try:
                writer.sync()
            except OSError:
                assert disk.fails
            else:
                synced = number + 1
            disk.fails = False
    writer.sync()
    synced = 160
    writer.close()
    check("close")

    assert {"rename", "fdatasync", "fsync", "store", "ftruncate"} <= set(disk.calls)


@pytest.mark.fault("J1")
@pytest.mark.skipif(
    sys.version_info >= (3, 13),
    reason="steps are counted by instructions as 3.11 and 3.12 tell them",
)
def test_process_that_dies_at_any_step_of_a_store_leaves_no_damage(tmp_path: Path) -> None:
    writer = JournalWriter(tmp_path, segment_bytes=SEGMENT)
    append(writer, 0, 1)
    (run,) = runs_of(tmp_path)
    seen = 0

    def step(frame: FrameType, event: str, arg: object) -> Any:
        nonlocal seen
        if event == "opcode":
            seen += 1
            assert verify(run).verdict is Verdict.UNANCHORED
            assert found_in(tmp_path) in ([0, 1], [0, 1, 2])
        return step

    def enter(frame: FrameType, event: str, arg: object) -> Any:
        if frame.f_code is not SegmentFile.store.__code__:
            return None
        frame.f_trace_opcodes = True
        return step

    with traced(enter):
        append(writer, 2)
    writer.close()

    assert seen > 20
    assert found_in(tmp_path) == [0, 1, 2]


@pytest.fixture
def secret_journal(tmp_path: Path) -> Path:
    directory = tmp_path / "disk" / "journal"
    writer = JournalWriter(directory, segment_bytes=SEGMENT)
    for number in range(5):
        writer.append(HypervisorEvent(payload={"secret": f"word{number}"}), id)
    writer.close()
    return directory


@pytest.mark.fault("J6")
def test_what_was_erased_is_gone_after_a_power_cut_with_its_salt(
    tmp_path: Path, secret_journal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (run,) = runs_of(secret_journal)
    path = run.segment_path(0)
    salts = [record.salt for _, record in SegmentReader(path).records()]
    disk = Disk(tmp_path / "disk", monkeypatch)
    assert erase(run, lambda event: event.payload["secret"] == "word3")

    left = disk.cut(tmp_path / "left", 0.0) / path.relative_to(disk.root)
    data = left.read_bytes()
    assert b"word3" not in data
    assert salts[3] not in data
    assert b"word2" in data
    assert salts[2] in data
    records = [record for _, record in SegmentReader(left).records()]
    assert records[3].salt == bytes(SALT_BYTES)


@pytest.mark.fault("J6")
@pytest.mark.fault("J15")
def test_key_that_was_used_is_gone_after_a_power_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "disk"
    root.mkdir()
    first = make_key_file(root / "key")
    disk = Disk(root, monkeypatch)
    take_run_key(root / "key", bytes(16))

    data = (disk.cut(tmp_path / "left", 0.0) / "key").read_text()
    assert first not in data
    assert data == (root / "key").read_text()


@pytest.mark.fault("J6")
def test_key_that_was_made_is_there_after_a_power_cut(tmp_path: Path, disk: Disk) -> None:
    first = make_key_file(disk.root / "key")
    assert first in (disk.cut(tmp_path / "left", 0.0) / "key").read_text()


@pytest.mark.fault("J6")
def test_file_that_was_replaced_is_old_or_new_after_a_power_cut_and_then_new(
    tmp_path: Path, disk: Disk
) -> None:
    path = disk.root / "folder" / "file"
    replace_file(path, b"old" * 1_000, sync=True)
    seen: set[bytes] = set()

    def check(call: str) -> None:
        for kept in (0.0, 1.0, 0.5, 0.5):
            seen.add((disk.cut(tmp_path / "left", kept) / "folder" / "file").read_bytes())

    disk.after_call = check
    replace_file(path, b"new" * 1_000, sync=True)
    assert seen == {b"old" * 1_000, b"new" * 1_000}
    left = disk.cut(tmp_path / "left", 0.0)
    assert (left / "folder" / "file").read_bytes() == b"new" * 1_000


@pytest.mark.fault("J6")
def test_snapshot_of_a_cursor_that_was_saved_is_there_after_a_power_cut(
    tmp_path: Path, disk: Disk
) -> None:
    folder = disk.root / "cursors"  # made with the first one
    cursor, path = CursorFile("plugin"), folder / "plugin.json"
    assert cursor.save(path, [("run", 5)], lambda: {"run": 5}, lambda: {"open": 1}, last=True)

    saved = read_cursor(disk.cut(tmp_path / "left", 0.0) / "cursors" / "plugin.json")
    assert (saved.values, saved.state) == ({"run": 5}, {"open": 1})


@pytest.mark.fault("J6")
def test_list_of_runs_that_a_plugin_has_is_there_after_a_power_cut(
    tmp_path: Path, disk: Disk
) -> None:
    runs = DeliveredRuns(disk.root / "delivered" / "plugin")
    runs.note(["a", "b"])

    left = disk.cut(tmp_path / "left", 0.0) / runs.path.relative_to(disk.root)
    assert left.read_bytes() == runs.path.read_bytes()


def test_model_of_a_disk_holds_what_was_synced_and_perhaps_the_rest(disk: Disk) -> None:
    (disk.root / "file").write_text("x")
    assert not (disk.cut(disk.root.parent / "left", 0.0) / "file").exists()
    assert (disk.cut(disk.root.parent / "left", 1.0) / "file").read_text() == "x"
