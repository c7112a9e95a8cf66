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
from hypervisor_observability.host.status import write_status
from tests.commands import run_hvobs


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
    path = Path("state/status.json")
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
    assert result.exit_code == 1
    assert "there is no configuration: name the state directory with --directory" in result.stderr

    Path("hvobs.toml").write_text('service = "a"\n')
    result = run_hvobs("status", "--config", "hvobs.toml")
    assert "hvobs.toml has no [state] directory" in result.stderr

    result = run_hvobs("status", "--directory", "nowhere")
    assert "no process with this [state] directory has started yet" in result.stderr


def test_doctor_tells_of_the_process() -> None:
    Path("hvobs.toml").write_text('[state]\ndirectory = "state"\n')
    assert (
        json.loads(run_hvobs("doctor", "--config", "hvobs.toml", "--json").stdout)["status"] is None
    )

    run_process(Refusing())
    result = run_hvobs("doctor", "--config", "hvobs.toml")

    assert result.exit_code == 1
    assert "stopped, 1 events emitted" in result.stdout
    assert "problem: running process: refusing: 1 events were refused" in result.stdout


@pytest.mark.fault("F9")
def test_configuration_that_was_changed_while_the_process_runs_is_told() -> None:
    file = Path("hvobs.toml")
    file.write_text('[state]\ndirectory = "state"\n')
    config = Config(state=StateConfig(directory=Path("state")))
    with Observability(config, plugins=[Taking()]) as observability:
        observability.bus.record(EventType.VFS_WRITE)
        write_status(Path("state"), observability.status())
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
