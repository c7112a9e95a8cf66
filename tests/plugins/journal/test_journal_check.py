"""``hvobs check`` on a journal: where it is, what it holds, and whether it could be written."""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve
from click.testing import Result

from hypervisor_journal import JournalConfig, JournalPlugin
from hypervisor_journal.followed_journal import FollowedJournal
from hypervisor_journal.proof.key_files import make_key_file
from hypervisor_journal.runs.runs import runs_of
from hypervisor_journal.writing.writer import JournalWriter
from hypervisor_observability.testing import context_for
from tests.commands import run_hvobs
from tests.configurations import write_config
from tests.plugins.journal.journals import make_event, write_two_runs
from tests.programs import run_python


def check(directory: Path, **table: object) -> str:
    plugin = JournalPlugin(JournalConfig(directory=directory, **table))  # type: ignore[arg-type]  # as the test gives them
    return plugin.check(context_for("journal"))


def hvobs_check(folder: Path, *table: str) -> Result:
    lines = ["[plugins.journal]", f"directory = '{folder / 'journal'}'", *table]
    return run_hvobs("check", "--config", write_config("\n".join(lines), folder / "c.toml"))


def everything_below(folder: Path) -> dict[Path, tuple[int, int, int]]:
    statuses = {path: path.lstat() for path in (folder, *folder.rglob("*"))}
    return {path: (one.st_ino, one.st_size, one.st_mtime_ns) for path, one in statuses.items()}


def test_check_says_where_the_journal_is_and_how_much_it_holds(tmp_path: Path) -> None:
    write_two_runs(tmp_path / "journal")

    done = hvobs_check(tmp_path, "max_bytes = 2097152", "segment_bytes = 65536")

    assert (done.exit_code, done.stderr) == (0, "")
    found = f"journal  ok  journal in {tmp_path / 'journal'}: 2 runs, 0."
    assert done.stdout.startswith(found)
    assert done.stdout.endswith(" MiB of at most 2.0 MiB\n")


def test_one_run_is_called_so(tmp_path: Path) -> None:
    write_two_runs(tmp_path)
    next(iter(runs_of(tmp_path))).remove()

    assert ": 1 run, " in check(tmp_path)


def test_check_of_a_journal_that_is_to_come_makes_nothing(tmp_path: Path) -> None:
    before = everything_below(tmp_path)

    assert check(tmp_path) == f"journal in {tmp_path}: nothing is recorded yet"
    directory = tmp_path / "a" / "b"
    expected = f"journal in {directory}: made by the first process that starts"
    assert check(directory, anchor_file=tmp_path / "c" / "anchors") == expected
    assert everything_below(tmp_path) == before


WATCHED = """
import sys
from pathlib import Path
from hypervisor_journal import JournalConfig, JournalPlugin
from hypervisor_observability.testing import context_for

directory, seen = sys.argv[1], []

def watch(event, arguments):
    if event.startswith("fcntl.") or (event == "open" and str(arguments[0]).startswith(directory)):
        seen.append((event, str(arguments[0])))

plugin = JournalPlugin(JournalConfig(directory=Path(directory)))
plugin.check(context_for("journal"))  # imports what it needs
sys.addaudithook(watch)
print(plugin.check(context_for("journal")))
print(seen)
"""


def test_check_opens_and_locks_nothing_of_the_processes_that_run(tmp_path: Path) -> None:
    write_two_runs(tmp_path)
    agent = FollowedJournal(tmp_path)
    agent.start()
    writer = JournalWriter(tmp_path)
    writer.append(make_event(1), lambda _: None)
    before = everything_below(tmp_path)

    done = run_python(WATCHED, tmp_path, check=True)
    after = everything_below(tmp_path)
    writer.append(make_event(2), lambda _: None)
    writer.close()
    agent.stop()

    said, seen = done.stdout.splitlines()
    assert ": 3 runs, " in said
    # The directory itself alone, to see whether a file could be made there.
    assert set(eval(seen)) <= {("open", str(tmp_path))}  # noqa: S307 - what the program printed
    assert after == before
    assert writer.lost == 0


def a_file(path: Path) -> None:
    path.write_text("in the way")


def a_link_to_nothing(path: Path) -> None:
    path.symlink_to(path.with_name("nothing"))


@pytest.mark.parametrize("make", [a_file, a_link_to_nothing])
@pytest.mark.parametrize("below", [(), ("deep", "journal")])
def test_what_stands_in_the_way_of_the_directory_is_named(
    tmp_path: Path, make: Callable[[Path], None], below: tuple[str, ...]
) -> None:
    make(tmp_path / "taken")
    directory = tmp_path.joinpath("taken", *below)

    with pytest.raises(OSError, match="'taken' is not a directory") as found:
        check(directory)

    assert str(found.value).startswith(f"{directory}: cannot be ")
    assert str(found.value).endswith("or set plugins.journal.directory")


AS_NOBODY = """
import os, sys
from pathlib import Path
from hypervisor_journal import JournalConfig
from hypervisor_journal.checking import check_journal

if os.geteuid() == 0:
    os.seteuid(65534)
for place in sys.argv[1:]:
    try:
        print(check_journal(JournalConfig(directory=Path(place)), "plugins.journal"))
    except OSError as error:
        print(error)
"""


def test_directory_that_this_user_may_not_write_is_named() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o555)
        done = run_python(AS_NOBODY, folder, folder / "deep" / "journal", check=True)
        folder.chmod(0o700)

    right = "Permission denied: let this user write there, or set plugins.journal.directory"
    assert done.stdout.splitlines() == [
        f"{folder}: cannot be written: {right}",
        f"{folder / 'deep' / 'journal'}: cannot be made in {folder}: {right}",
    ]


def test_run_that_this_user_may_not_read_is_named() -> None:
    with tempfile.TemporaryDirectory() as name:
        write_two_runs(Path(name))
        Path(name).chmod(0o777)
        run = next(iter(runs_of(Path(name)))).path
        run.chmod(0o000)
        done = run_python(AS_NOBODY, name, check=True)
        run.chmod(0o700)

    expected = f"{run}: cannot be looked at: Permission denied: let this user read every run"
    assert done.stdout.startswith(expected)


def test_name_that_no_folder_can_have_is_told(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="cannot be written: File name too long"):
        check(tmp_path / ("n" * 300))


def test_file_system_that_does_not_say_how_full_it_is_is_taken_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "statvfs", lambda _: os.statvfs_result([4096, 4096, *[0] * 8]))

    assert "nothing is recorded yet" in check(tmp_path)


def test_disk_without_room_for_a_segment_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = os.statvfs

    def nearly_full(path: Any) -> os.statvfs_result:
        values = list(asked(path))
        values[3] = values[4] = 1024 * 1024 // values[1]  # f_bfree and f_bavail of f_frsize bytes
        return os.statvfs_result(values)

    monkeypatch.setattr(os, "statvfs", nearly_full)

    with pytest.raises(OSError, match=r"its disk has 1\.0 MiB left, and a segment takes 16\.0 MiB"):
        check(tmp_path)
    assert "nothing is recorded yet" in check(tmp_path, segment_bytes=65_536)


def test_key_file_that_is_missing_is_told_and_a_good_one_keeps_its_key(tmp_path: Path) -> None:
    key_file = tmp_path / "key"
    done = hvobs_check(tmp_path, f"anchor_key_file = '{key_file}'")
    assert done.exit_code == 2
    assert "plugins.journal.anchor_key_file: " in done.stderr
    assert "no such file: make one with 'hvobs journal key FILE'" in done.stderr
    with pytest.raises(ValueError, match="no such file: make one with 'hvobs journal key FILE'"):
        check(tmp_path / "journal", anchor_key_file=key_file)

    make_key_file(key_file)
    before = key_file.read_bytes()
    assert hvobs_check(tmp_path, f"anchor_key_file = '{key_file}'").exit_code == 0
    assert key_file.read_bytes() == before


def test_anchor_file_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "anchors").mkdir()
    a_file(tmp_path / "file")

    done = hvobs_check(tmp_path, f"anchor_file = '{tmp_path / 'anchors'}'")
    assert done.exit_code == 1
    assert done.stdout == (
        f"journal  failed  {tmp_path / 'anchors'}: a directory, where a file should be: set"
        " plugins.journal.anchor_file\n"
    )
    with pytest.raises(OSError, match=r"set plugins\.journal\.anchor_file$"):
        check(tmp_path / "journal", anchor_file=tmp_path / "file" / "anchors")
    assert check(tmp_path / "journal", anchor_file=tmp_path / "file")


def test_check_works_where_a_file_system_has_no_files_without_a_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(os, "O_TMPFILE", raising=False)

    assert "nothing is recorded yet" in check(tmp_path)
    config = JournalConfig(directory=tmp_path)
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(OSError, match="cannot be written: Permission denied"):
        JournalPlugin(evolve(config, segment_bytes=65_536)).check(context_for("journal"))
