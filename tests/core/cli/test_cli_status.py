"""``hvobs status``, and what ``hvobs doctor`` says of a running process."""

import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from hypervisor_observability import Config, EventType, Observability, hookimpl
from hypervisor_observability.config import StateConfig
from tests.commands import run_hvobs
from tests.waiting import wait_until


class Refusing:
    name = "refusing"

    @hookimpl
    def export_events(self) -> None:
        raise ValueError("no")


class Taking:
    name = "taking"

    @hookimpl
    def export_events(self) -> None:
        pass


@pytest.fixture(autouse=True)
def _working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HYPERVISOR_OBSERVABILITY_CONFIG", raising=False)


def run_process(*plugins: object) -> None:
    config = Config(state=StateConfig(directory=Path("state")))
    with Observability(config, plugins=plugins) as observability:
        observability.bus.record(EventType.VFS_WRITE)
        observability.flush(10)


def changed(**changes: Any) -> Mapping[str, Any]:
    (path,) = Path("state/status").iterdir()
    status = {**json.loads(path.read_text()), **changes}
    path.write_text(json.dumps(status))
    return status


def test_healthy_process_is_shown() -> None:
    run_process(Taking())
    result = run_hvobs("status", "--directory", "state")

    assert result.exit_code == 0
    assert result.stdout.splitlines()[0].split() == [
        "READER", "STATE", "BREAKER", "DELIVERED", "REJECTED", "IN_FLIGHT", "PENDING", "DROPPED",
    ]  # fmt: skip
    assert result.stdout.splitlines()[1].split() == [
        "taking", "stopped", "closed", "1", "0", "0", "0", "0",
    ]  # fmt: skip


def test_directory_of_the_configuration_is_read_and_losses_are_problems() -> None:
    run_process(Refusing())
    Path("hvobs.toml").write_text('[state]\ndirectory = "state"\n')
    result = run_hvobs("status", "--config", "hvobs.toml")

    assert result.exit_code == 1
    assert "problem: refusing: 1 events were refused" in result.stdout


def test_everything_that_is_wrong_is_told() -> None:
    run_process(Taking())
    taking = changed()["plugins"]["taking"]
    bad = {**taking, "state": "down: no\x1b[2J", "breaker": "open", "dropped": {"overflow": 3}}
    unwanted = {"filtered": 9, "sampled": 2, "not_replayed": 3, "deferred": 1, "down": 0}
    quiet = {**taking, "dropped": unwanted}
    changed(state="running", written_at=time.time() - 60, plugins={"bad": bad, "quiet": quiet})
    result = run_hvobs("status", "--directory", "state", "--json")
    told = "\n".join(json.loads(result.stdout)["problems"])

    assert result.exit_code == 1
    assert "has ended without a stop, or hangs" in told
    assert "bad is down: no" in told
    assert "bad: the backend accepts nothing (breaker open)" in told
    assert "bad: 3 events were dropped (overflow)" in told
    assert "quiet" not in told
    assert "\x1b" not in run_hvobs("status", "--directory", "state").stdout


@pytest.mark.parametrize(
    ("store", "told"),
    [
        ({"state": "down: no\x1b[2J", "degraded": True}, "shelf is down: no"),
        ({"state": "running", "degraded": True}, "shelf: events are not kept at present"),
        ({"state": "running", "problem": "no\x1b[2J answer"}, "shelf is behind: no"),
        ({"state": "running", "lost": 3}, "shelf: 3 events are not in it"),
    ],
)
def test_store_that_keeps_not_everything_is_told(store: Mapping[str, Any], told: str) -> None:
    run_process(Taking())
    changed(store={"name": "shelf", **store})
    result = run_hvobs("status", "--directory", "state")

    assert result.exit_code == 1
    assert f"problem: {told}" in result.stdout
    assert "\x1b" not in result.stdout


def test_status_without_a_directory_says_what_to_do() -> None:
    result = run_hvobs("status")
    assert result.exit_code == 2
    assert "there is no configuration: name the state directory with --directory" in result.stderr

    Path("hvobs.toml").write_text('service = "a"\n')
    result = run_hvobs("status", "--config", "hvobs.toml")
    assert result.exit_code == 2
    assert "hvobs.toml has no [state] directory" in result.stderr
    assert "--traceback" not in result.stderr

    result = run_hvobs("status", "--directory", "nowhere")
    assert result.exit_code == 1
    assert "no process with this [state] directory has started yet" in result.stderr


def test_doctor_tells_of_the_process() -> None:
    Path("hvobs.toml").write_text('[state]\ndirectory = "state"\n')
    assert (
        json.loads(run_hvobs("doctor", "--config", "hvobs.toml", "--json").stdout)["status"] is None
    )

    run_process(Refusing())
    result = run_hvobs("doctor", "--config", "hvobs.toml")

    assert result.exit_code == 1
    assert "application of agents, stopped, 1 events emitted" in result.stdout
    assert "problem: running process: refusing: 1 events were refused" in result.stdout


@pytest.mark.fault("F9")
def test_configuration_that_was_changed_while_the_process_runs_is_told() -> None:
    file = Path("hvobs.toml")
    file.write_text('[state]\ndirectory = "state"\n')
    config = Config(state=StateConfig(directory=Path("state")))
    with Observability(config, plugins=[Taking()]) as observability:
        observability.bus.record(EventType.VFS_WRITE)
        wait_until(lambda: list(Path("state/status").glob("*.json")))
        os.utime(file, (0, observability.status()["started_at"] - 1))
        before = run_hvobs("status", "--config", "hvobs.toml")
        os.utime(file, (0, observability.status()["started_at"] + 1))
        after = run_hvobs("status", "--config", "hvobs.toml")
        named = run_hvobs("status", "--directory", "state")
        doctor = run_hvobs("doctor", "--config", "hvobs.toml")
    stopped = run_hvobs("status", "--config", "hvobs.toml")

    assert "hvobs.toml was changed after process" in after.stdout
    assert "restart it" in doctor.stdout
    assert after.exit_code == 1
    for result in (before, named, stopped):
        assert "was changed" not in result.stdout


def damaged(**changes: Any) -> bytes:
    """A whole status with these keys; None leaves one out."""
    reader: dict[str, Any] = {
        "state": "running", "breaker": None, "delivered": 0, "rejected": 0, "dropped": {},
        "in_flight": 0, "pending": 0,
    }  # fmt: skip
    whole = {
        "version": 1, "pid": 1, "written_at": 1.0, "started_at": 1.0, "state": "stopped",
        "emitted": 0, "plugins": {"p": reader}, "metrics": reader, "store": None,
    }  # fmt: skip
    merged = {**whole, **changes}
    return json.dumps({k: v for k, v in merged.items() if v is not ...}).encode()


DAMAGED: dict[str, bytes | None] = {
    "no keys": b'{"version": 1}',
    "list": b"[]",
    "brackets": b"[" * 100_000,
    "no UTF-8": b'{"version": 1, "\xff": 1}',
    "longer than any": b" " * 2_000_000,
    "FIFO": None,
    "text for a time": damaged(written_at="now"),
    "no finite time": damaged(written_at=float("nan")),
    "time beyond all floats": damaged(started_at=10**400),
    "true for a number": damaged(emitted=True),
    "list of plugins": damaged(plugins=[]),
    "plugin that is text": damaged(plugins={"p": "running"}),
    "plugin without numbers": damaged(plugins={"p": {"state": "running"}}),
    "no metrics": damaged(metrics=...),
    "store that is text": damaged(store="/there"),
    "list of sources": damaged(sources=[]),
    "source that is text": damaged(sources={"s": "running"}),
    "source without a state": damaged(sources={"s": {"errors": 0}}),
    "source without a number": damaged(sources={"s": {"state": "running", "errors": "0"}}),
    "dropped by nobody": damaged(
        metrics={**json.loads(damaged())["metrics"], "dropped": {"a": []}}
    ),
}


@pytest.mark.parametrize("kind", DAMAGED)
def test_file_that_is_no_status_is_told_in_a_line_and_doctor_tells_the_rest(kind: str) -> None:
    Path("hvobs.toml").write_text('[state]\ndirectory = "state"\n')
    Path("state").mkdir()
    content = DAMAGED[kind]
    if content is None:
        os.mkfifo("state/status.json")
    else:
        Path("state/status.json").write_bytes(content)
    status, doctor = (run_hvobs(one, "--config", "hvobs.toml") for one in ("status", "doctor"))

    for told in (status.stderr, doctor.stdout):
        assert "status.json" in told
        assert "cannot be read" in told or "another version" in told
        assert "--traceback" not in told
    assert (status.exit_code, doctor.exit_code) == (1, 1)
    assert "Python" in doctor.stdout


def test_whole_status_is_shown_without_what_is_not_known() -> None:
    deep: Any = []
    for _ in range(400):
        deep = [deep]
    Path("state").mkdir()
    Path("state/status.json").write_bytes(damaged(new=deep, newer="x"))
    result = run_hvobs("status", "--directory", "state", "--json")

    assert result.exit_code == 0
    assert json.loads(result.stdout)["newer"] == "x"
    assert "new" not in json.loads(result.stdout)


def written(name: str, *, age: float = 0.0, **changes: Any) -> Path:
    """A file of another process, which wrote it so many seconds ago."""
    at = time.time() - age
    path = Path("state/status") / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    told = {"pid": int(name.partition("-")[0]), "written_at": at, "started_at": at - 1, **changes}
    path.write_bytes(damaged(service="agents", role="application", **told))
    os.utime(path, (at, at))
    return path


def losing(reason: str = "overflow") -> Mapping[str, Any]:
    reader: Mapping[str, Any] = json.loads(damaged())["metrics"]
    return {"p": {**reader, "dropped": {reason: 7}}}


def test_processes_with_one_directory_have_a_file_each_and_are_all_shown() -> None:
    config = Config(state=StateConfig(directory=Path("state")))
    with Observability(config, plugins=[Taking()]), Observability(config, plugins=[Refusing()]):
        pass
    assert len([*Path("state/status").iterdir()]) == 2

    written("11-00000000", state="running")
    written("12-00000000", state="running", plugins=losing())
    shown = run_hvobs("status", "--directory", "state")
    one = run_hvobs("status", "--directory", "state", "--pid", "11")
    told = json.loads(run_hvobs("status", "--directory", "state", "--json").stdout)

    assert shown.exit_code == 1
    assert shown.stdout.count("READER") == 2
    for pid in (11, 12):
        assert f"process {pid}, application of agents, running" in shown.stdout
    assert "problem: process 12: p: 7 events were dropped (overflow)" in shown.stdout
    assert f"ended within a day: {os.getpid()}, {os.getpid()} (--pid shows one)" in shown.stderr
    assert (one.exit_code, one.stdout.count("READER"), "problem" in one.stdout) == (0, 1, False)
    assert [process["state"] for process in told["processes"][:2]] == ["running", "running"]
    assert len(told["processes"]) == 4
    assert told["pid"] in {11, 12}


def test_loss_of_a_process_that_has_ended_is_told_beside_the_one_that_runs() -> None:
    Path("hypervisor.toml").write_text('[state]\ndirectory = "state"\n')
    written("11-00000000", state="stopped", plugins=losing(), age=600)
    written("12-00000000", state="running")
    result = run_hvobs("status")
    doctor = run_hvobs("doctor")

    assert result.exit_code == 1
    assert result.stdout.count("READER") == 1
    assert "problem: process 11: p: 7 events were dropped (overflow)" in result.stdout
    assert "problem: running process: process 11: p: 7 events were dropped" in doctor.stdout
    assert "12, application of agents, running" in doctor.stdout
    assert "11, application of agents, stopped" in doctor.stdout


@pytest.mark.parametrize(("started", "told"), [(-300, False), (-900, True)])
def test_killed_process_is_a_problem_until_another_one_takes_its_place(
    started: int, told: bool
) -> None:
    written("11-00000000", state="running", age=600)
    written("12-00000000", state="running", started_at=time.time() + started)
    result = run_hvobs("status", "--directory", "state")

    assert ("process 11 has ended without a stop" in result.stdout) == told
    assert result.exit_code == int(told)


def test_what_waited_in_a_killed_process_is_lost_where_no_store_has_it() -> None:
    reader = json.loads(damaged())["metrics"]
    waiting = {"p": {**reader, "in_flight": 3, "pending": 4}}
    written("11-00000000", state="running", plugins=waiting, age=600)
    written("12-00000000", state="running", plugins=waiting, age=600, store={"name": "journal"})
    written("13-00000000", state="running")
    result = run_hvobs("status", "--directory", "state")

    assert "process 11: p: 7 events waited when it last wrote" in result.stdout
    assert "process 12" not in result.stdout


def test_files_of_ended_processes_are_bounded_in_number_and_age() -> None:
    for number in range(80):
        written(f"{number}-00000000", state="stopped", age=60 + number)
    written("90-00000000", state="stopped", plugins=losing(), age=2 * 86_400)
    killed = Path("state/status/.91-00000000.json.abcdef.tmp")
    killed.touch()
    os.utime(killed, (0, 0))
    others = Path("state/status/notes.txt")
    others.touch()
    os.utime(others, (0, 0))
    before = run_hvobs("status", "--directory", "state")
    run_process(Taking())

    assert before.exit_code == 0
    assert len([*Path("state/status").glob("*.json")]) == 64
    assert others.exists()
    assert not killed.exists()
    assert not Path("state/status/90-00000000.json").exists()


def test_newest_file_is_shown_however_old_it_is() -> None:
    written("11-00000000", state="stopped", plugins=losing(), age=90 * 86_400)
    assert "7 events were dropped" in run_hvobs("status", "--directory", "state").stdout


def test_file_that_an_earlier_release_wrote_is_read_beside_the_others() -> None:
    written("11-00000000", state="running")
    Path("state/status.json").write_bytes(damaged(pid=4711, written_at=time.time()))
    told = json.loads(run_hvobs("status", "--directory", "state", "--json").stdout)

    assert [process["pid"] for process in told["processes"]] == [11, 4711]


def test_one_damaged_file_does_not_hide_the_others() -> None:
    written("11-00000000", state="running")
    written("12-00000000").write_text("{")
    result = run_hvobs("status", "--directory", "state")

    assert result.exit_code == 1
    assert result.stdout.count("READER") == 1
    assert "12-00000000.json cannot be read" in result.stdout


def test_unknown_process_and_wrong_folder_are_told_in_a_line() -> None:
    written("11-00000000", state="running")
    unknown = run_hvobs("status", "--directory", "state", "--pid", "12")
    Path("file").touch()
    wrong = run_hvobs("status", "--directory", "file")
    Path("hypervisor.toml").write_text('[state]\ndirectory = "file"\n')
    configured = run_hvobs("status")
    Path("hypervisor.toml").write_text("[state]\ndirectory = 5\n")
    mistyped = run_hvobs("status")

    assert (unknown.exit_code, wrong.exit_code) == (2, 2)
    assert (configured.exit_code, mistyped.exit_code) == (1, 2)
    assert "no process 12 has a status here; there are: 11" in unknown.stderr
    assert "file is not a directory" in configured.stderr
    assert "expected a path" in mistyped.stderr
    for result in (unknown, wrong, configured, mistyped):
        assert "--traceback" not in result.stderr
