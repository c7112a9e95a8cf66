"""``hvobs dead-letters``: what backends refused is looked at, and sent again without a loss."""

import json
import stat
import sys
import threading
from pathlib import Path

import pytest

from hypervisor_observability import EventType, HypervisorEvent
from hypervisor_observability.delivery.dead_letters import DeadLetters
from hypervisor_observability.delivery.letter_box import BusyError, LetterBox
from hypervisor_observability.files.locked_file import open_locked
from tests.commands import run_hvobs

PLUGIN = """
from pathlib import Path
from hypervisor_observability import Reject, RetryLater, hookimpl


class Plugin:
    @hookimpl
    def export_events(self, events):
        for event in events:
            word = event.payload["word"]
            if word == "poison":
                raise Reject("still \\x1b[31mbad")
            if word == "later":
                raise RetryLater(after=60)
        with Path("sent.txt").open("a") as file:
            file.writelines(event.payload["word"] + "\\n" for event in events)
"""


def letter(word: str) -> HypervisorEvent:
    return HypervisorEvent(
        event_type=EventType.VFS_WRITE,
        causal_trace_id="a" * 32 + "/" + "b" * 16,
        payload={"word": word},
    )


@pytest.fixture
def letters(elsewhere: None) -> DeadLetters:
    """Give those of the plugin ``panel``, which the configuration here turns on."""
    Path("plugins").mkdir()
    Path("plugins/panel.py").write_text(PLUGIN)
    Path("hypervisor.toml").write_text(
        'plugins_dir = "plugins"\n[state]\ndirectory = "state"\n[plugins.panel]\n'
    )
    return DeadLetters.of(Path("state").absolute(), "panel")


def words(letters: DeadLetters) -> list[str]:
    if not letters.path.exists():
        return []
    return [
        json.loads(line)["event"]["payload"]["word"]
        for line in letters.path.read_text().splitlines()
    ]


def test_dead_letters_are_listed_a_line_each(letters: DeadLetters) -> None:
    letters.write(letter("one"), "no \x1b[31mway\nat all")
    letters.write(letter("two"), "no")

    done = run_hvobs("dead-letters")

    assert done.exit_code == 0
    heading, first, second = done.stdout.splitlines()
    assert heading.split() == ["PLUGIN", "NUMBER", "TIME", "EVENT", "TRACE", "REASON"]
    assert first.split()[:2] == ["panel", "1"]
    assert "vfs.write" in first
    assert "a" * 32 in first
    assert first.rstrip().endswith(r"no \x1b[31mway at all")
    assert second.split()[1] == "2"


def test_limit_says_how_many_are_not_shown(letters: DeadLetters) -> None:
    for word in ("one", "two", "three"):
        letters.write(letter(word), "no")

    done = run_hvobs("dead-letters", "list", "panel", "--limit", 1, "--json")

    assert json.loads(done.stdout)["event"]["payload"] == {"word": "one"}
    assert "panel: 2 more" in done.stderr


def test_one_is_shown_whole(letters: DeadLetters) -> None:
    letters.write(letter("one"), "no")

    assert json.loads(run_hvobs("dead-letters", "show", "panel", 1).stdout)["reason"] == "no"
    absent = run_hvobs("dead-letters", "show", "panel", 2)
    assert (absent.exit_code, "no dead letter 2" in absent.stderr) == (2, True)


@pytest.mark.usefixtures("letters")
def test_no_dead_letters_are_no_failure() -> None:
    assert "no dead letters in" in run_hvobs("dead-letters").stderr
    done = run_hvobs("dead-letters", "resend", "panel")
    assert (done.exit_code, done.stderr) == (0, "panel has no dead letters\n")
    assert "no [plugins.wbe]" in run_hvobs("dead-letters", "resend", "wbe").stderr


def test_what_is_accepted_goes_and_what_is_refused_again_stays(letters: DeadLetters) -> None:
    for word in ("one", "poison", "two", "poison", "poison", "poison", "poison", "three"):
        letters.write(letter(word), "no")

    done = run_hvobs("dead-letters", "resend", "panel", "--yes")

    assert done.exit_code == 1
    assert done.stdout == "panel: sent 3, refused again 5\n"
    assert Path("sent.txt").read_text().split() == ["one", "two", "three"]
    assert words(letters) == ["poison"] * 5
    assert stat.S_IMODE(letters.path.stat().st_mode) == 0o600


def test_file_goes_with_the_last_letter(letters: DeadLetters) -> None:
    letters.write(letter("one"), "no")

    done = run_hvobs("dead-letters", "resend", "panel", "--yes")

    assert (done.exit_code, done.stdout) == (0, "panel: sent 1, refused again 0\n")
    assert not list(letters.path.parent.glob("*.jsonl"))


def test_no_is_taken_for_an_answer(letters: DeadLetters) -> None:
    letters.write(letter("one"), "no")

    assert run_hvobs("dead-letters", "resend", "panel", input="n\n").exit_code == 1
    assert words(letters) == ["one"]


def test_line_that_cannot_be_read_stays(letters: DeadLetters) -> None:
    letters.write(letter("one"), "no")
    with letters.path.open("a") as file:
        file.write('{"time": 1e400, "reason": "", "event": {}}\n{"torn')

    done = run_hvobs("dead-letters", "resend", "panel", "--yes")

    assert "sent 1, refused again 0, not sent 2 (this line cannot be read)" in done.stdout
    assert letters.path.read_text().endswith('{"torn\n')
    assert "this line cannot be read" in run_hvobs("dead-letters").stdout


def test_event_that_the_table_does_not_ask_for_stays(letters: DeadLetters) -> None:
    with Path("hypervisor.toml").open("a") as file:
        file.write('events = ["ring.*"]\n')
    letters.write(letter("one"), "no")

    done = run_hvobs("dead-letters", "resend", "panel", "--yes")

    assert "not sent 1 (its table does not ask for such events)" in done.stdout
    assert words(letters) == ["one"]


def test_all_stay_if_the_backend_is_away(
    letters: DeadLetters, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hypervisor_observability.cli.resending._FLUSH_SECONDS", 0.2)
    for word in ("one", "later", "two"):
        letters.write(letter(word), "no")

    done = run_hvobs("dead-letters", "resend", "panel", "--yes")

    assert "sent 1, refused again 0, not sent 2 (the backend did not take" in done.stdout
    assert words(letters) == ["later", "two"]


def test_processes_that_write_meanwhile_lose_nothing(letters: DeadLetters) -> None:
    letters.write(letter("kept"), "no")

    def write() -> None:
        for number in range(500):
            letters.write(letter(str(number)), "no")

    writing = threading.Thread(target=write)
    writing.start()
    try:
        while writing.is_alive():
            with LetterBox(letters.path).taken() as taken:
                assert [one for one in taken if one.event is None] == []
    finally:
        writing.join()

    assert letters.lost == 0
    assert sorted(words(letters)) == sorted(["kept", *map(str, range(500))])


def test_letters_of_a_process_that_was_killed_are_put_back(letters: DeadLetters) -> None:
    letters.write(letter("one"), "no")
    box = LetterBox(letters.path)
    letters.path.rename(letters.path.with_name("panel.sending.jsonl"))
    letters.path.with_name("panel.again.jsonl").write_text("half")
    letters.write(letter("two"), "no")
    assert LetterBox.all_in(Path("state")) == [LetterBox(Path("state/dead/panel.jsonl"))]
    assert len(list(box.letters())) == 2

    with box.taken():
        pass

    assert words(letters) == ["one", "two"]
    assert [one.name for one in letters.path.parent.glob("*.jsonl")] == ["panel.jsonl"]


def test_two_do_not_send_at_once(letters: DeadLetters) -> None:
    letters.write(letter("one"), "no")

    with LetterBox(letters.path).taken():
        done = run_hvobs("dead-letters", "resend", "panel", "--yes")
        with pytest.raises(BusyError), LetterBox(letters.path).taken():
            pass

    assert "another process sends these dead letters" in done.stderr
    assert words(letters) == ["one"]


def test_letter_is_counted_as_lost_while_the_lock_cannot_be_had(
    letters: DeadLetters, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hypervisor_observability.files.locked_file._TRIES", 2)
    letters.write(letter("one"), "no")

    with open_locked(letters.path, 0):
        letters.write(letter("two"), "no")

    assert letters.lost == 1
    assert words(letters) == ["one"]


def test_file_is_written_where_there_are_no_locks(
    letters: DeadLetters, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "fcntl", None)

    letters.write(letter("one"), "no")

    assert words(letters) == ["one"]
