"""Files that are replaced as a whole: what gives way, what is left, who may read it."""

import os
import signal
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from hypervisor_observability import EventType, HypervisorEvent
from hypervisor_observability.delivery.dead_letters import DeadLetters
from hypervisor_observability.files import atomic_file
from hypervisor_observability.files.atomic_file import replace_file, write_where_told
from hypervisor_observability.files.regular_file import open_regular, read_json, read_regular

WIDE_SECONDS = 60


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def a_fifo(path: Path) -> None:
    os.mkfifo(path)


def a_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        # The path of a socket is short.
        folder = os.open(path.parent, os.O_RDONLY)
        listener.bind(f"/proc/self/fd/{folder}/{path.name}")
        os.close(folder)


def a_folder(path: Path) -> None:
    path.mkdir()


def a_link(path: Path) -> None:
    path.with_name("elsewhere").write_bytes(b"precious")
    path.symlink_to("elsewhere")


def a_link_to_nothing(path: Path) -> None:
    path.symlink_to("nothing")


def a_link_to_a_device(path: Path) -> None:
    path.symlink_to("/dev/null")


ODD = [a_fifo, a_socket, a_folder, a_link, a_link_to_nothing, a_link_to_a_device]


@pytest.mark.parametrize("made", ODD)
def test_what_is_no_regular_file_is_never_replaced(
    made: Callable[[Path], None], tmp_path: Path
) -> None:
    path = tmp_path / "status.json"
    made(path)
    before = path.lstat()

    with pytest.raises(OSError, match=r"is not replaced.*status\.json"):
        replace_file(path, b"new")

    assert (path.lstat().st_ino, path.lstat().st_mode) == (before.st_ino, before.st_mode)
    assert not [name for name in names_in(tmp_path) if name.endswith(".tmp")]


@pytest.mark.parametrize("made", [a_socket, a_folder, a_link, a_link_to_nothing])
def test_output_into_what_cannot_take_it_is_refused(
    made: Callable[[Path], None], tmp_path: Path
) -> None:
    path = tmp_path / "report.html"
    made(path)
    before = path.lstat()

    with pytest.raises(OSError, match=r"is not replaced.*report\.html"):
        write_where_told(path, b"page")

    assert path.lstat().st_ino == before.st_ino
    assert "nothing" not in names_in(tmp_path)


def test_output_goes_into_a_fifo_and_a_device(tmp_path: Path) -> None:
    fifo, device = tmp_path / "fifo", tmp_path / "device"
    os.mkfifo(fifo)
    device.symlink_to("/dev/null")
    read: list[bytes] = []
    reader = threading.Thread(target=lambda: read.append(fifo.read_bytes()))
    reader.start()
    write_where_told(fifo, b"page")
    reader.join(WIDE_SECONDS)
    write_where_told(device, b"page")

    assert read == [b"page"]
    assert stat.S_ISFIFO(fifo.lstat().st_mode)
    assert device.is_symlink()
    assert Path("/dev/null").is_char_device()


def test_fifo_of_another_user_gets_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fifo = tmp_path / "report.html"
    os.mkfifo(fifo)
    own = fifo.stat().st_uid
    if own == 0:
        os.chown(fifo, 4711, -1)
    else:
        monkeypatch.setattr(os, "geteuid", lambda: own + 1)

    with pytest.raises(PermissionError, match="another user"):
        write_where_told(fifo, b"page")


@pytest.mark.parametrize("redirected", ["pipe", "file"])
def test_stdout_may_be_named_as_a_file(redirected: str, tmp_path: Path) -> None:
    program = (
        "from pathlib import Path\n"
        "from hypervisor_observability.files.atomic_file import write_where_told\n"
        "print('before')\n"
        "write_where_told(Path('/dev/stdout'), b'page')\n"
    )
    out = tmp_path / "out"
    if redirected == "pipe":
        done = subprocess.run(
            [sys.executable, "-c", program], check=True, capture_output=True, timeout=WIDE_SECONDS
        )
        written = done.stdout
    else:
        with out.open("wb") as file:
            subprocess.run(
                [sys.executable, "-c", program], check=True, stdout=file, timeout=WIDE_SECONDS
            )
        written = out.read_bytes()

    assert written == b"before\npage"
    assert Path("/dev/stdout").is_symlink()


@pytest.mark.parametrize("mode", [0o600, 0o644])
@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_mode_is_the_one_that_was_promised(mode: int, umask: int, tmp_path: Path) -> None:
    path = tmp_path / "new" / "file"
    before = os.umask(umask)
    try:
        replace_file(path, b"1", mode=mode)
        path.chmod(0o666)
        replace_file(path, b"2", mode=mode)
    finally:
        os.umask(before)

    assert mode_of(path) == mode
    assert mode_of(path.parent) == 0o700


def test_name_that_somebody_made_first_is_not_written_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, victim = tmp_path / "file", tmp_path / "victim"
    victim.write_bytes(b"precious")
    planted = iter([b"\1" * 8])
    monkeypatch.setattr(os, "urandom", lambda _: next(planted))
    monkeypatch.setattr(atomic_file, "_sweep", lambda _: None)
    os.link(victim, tmp_path / f".file.{'01' * 8}.tmp")

    with pytest.raises(FileExistsError):
        replace_file(path, b"private")

    assert victim.read_bytes() == b"precious"


def test_temporary_names_are_not_repeated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    replace = Path.replace

    def noting(self: Path, target: Path) -> Path:
        seen.append(self.name)
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", noting)
    for _ in range(3):
        replace_file(tmp_path / "file", b"x")

    assert len(set(seen)) == 3
    assert not any(str(os.getpid()) in name for name in seen)


HELD = """
import os, sys, time
from pathlib import Path
from hypervisor_observability.files.atomic_file import replace_file
def wait(_):
    print("waits", flush=True)
    time.sleep(600)
os.fsync = wait
replace_file(Path(sys.argv[1]), b"half", sync=True)
"""


def test_what_a_killed_process_left_is_removed_and_what_a_living_one_writes_is_not(
    tmp_path: Path,
) -> None:
    path = tmp_path / "status.json"
    (tmp_path / ".status.json.4711").touch()  # as earlier releases named them
    (tmp_path / ".status.json.old").touch()
    with subprocess.Popen([sys.executable, "-c", HELD, str(path)], stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"waits\n"
        replace_file(path, b"1")
        while_alive = len(names_in(tmp_path))
        other.send_signal(signal.SIGKILL)
        other.wait(WIDE_SECONDS)
    replace_file(path, b"2")

    assert while_alive == 3
    assert names_in(tmp_path) == [".status.json.old", "status.json"]
    assert path.read_bytes() == b"2"


WRITER = """
import sys
from pathlib import Path
from hypervisor_observability.files.atomic_file import replace_file
for number in range(300):
    replace_file(Path(sys.argv[1]), sys.argv[2].encode() * 10_000)
"""


def test_processes_that_share_a_folder_never_mix_what_they_write(tmp_path: Path) -> None:
    path = tmp_path / "status.json"
    replace_file(path, b"")
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(path), letter]) for letter in "abc"
    ]
    seen = set()
    while any(writer.poll() is None for writer in writers):
        seen.add(path.read_bytes())

    assert [writer.wait(WIDE_SECONDS) for writer in writers] == [0, 0, 0]
    assert seen | {path.read_bytes()} <= {b"", b"a" * 10_000, b"b" * 10_000, b"c" * 10_000}
    assert names_in(tmp_path) == ["status.json"]


def test_file_is_synced_before_it_gets_its_name_and_the_folders_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    fsync, replace = os.fsync, Path.replace

    def noting_sync(descriptor: int) -> None:
        name = Path(f"/proc/self/fd/{descriptor}").readlink().name
        done.append(".tmp" if name.endswith(".tmp") else name)
        fsync(descriptor)

    def noting_replace(self: Path, target: Path) -> Path:
        done.append("named")
        return replace(self, target)

    monkeypatch.setattr(os, "fsync", noting_sync)
    monkeypatch.setattr(Path, "replace", noting_replace)
    replace_file(tmp_path / "a" / "b" / "file", b"x", sync=True)

    assert done == [tmp_path.name, "a", ".tmp", "named", "b"]


def test_failure_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    replace_file(path, b"old")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        replace_file(path, b"new", sync=True)

    assert path.read_bytes() == b"old"
    assert names_in(tmp_path) == ["file"]


# Reading


@pytest.mark.parametrize("made", ODD)
@pytest.mark.parametrize("flags", [os.O_RDONLY, os.O_WRONLY | os.O_CREAT | os.O_APPEND, os.O_RDWR])
def test_what_is_no_regular_file_is_neither_read_nor_waited_for(
    made: Callable[[Path], None], flags: int, tmp_path: Path
) -> None:
    path = tmp_path / "cursor.json"
    made(path)

    with pytest.raises(OSError, match="cursor"):
        open_regular(path, flags)


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b"[" * 100_000, b"x" * 300_000])
def test_file_that_is_no_json_is_one_kind_of_error(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "cursor.json"
    path.write_bytes(content)

    with pytest.raises(ValueError, match=r"."):
        read_json(path, 200_000)


def test_file_is_read_up_to_its_bound(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"1234")

    assert read_regular(path, 4) == b"1234"
    with pytest.raises(ValueError, match="longer than 3 bytes"):
        read_regular(path, 3)


@pytest.mark.parametrize("made", ODD)
def test_box_of_dead_letters_of_another_kind_holds_nobody_up(
    made: Callable[[Path], None], tmp_path: Path
) -> None:
    letters = DeadLetters.of(tmp_path, "p")
    letters.path.parent.mkdir()
    made(letters.path)
    letters.write(HypervisorEvent(event_type=EventType.VFS_WRITE), "no")

    assert letters.lost == 1
