"""``hvobs serve``: the page over what is recorded, as one starts and ends it."""

import signal
import socket
from pathlib import Path

import pytest

from hypervisor_web.config import DEFAULT_PORT
from tests.plugins.journal.journals import make_event, write
from tests.plugins.web import scenario
from tests.plugins.web.served import refused, serving
from tests.waiting import wait_until


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_recorded_events_are_shown_until_it_is_told_to_end(tmp_path: Path, number: int) -> None:
    scenario.record(tmp_path / "journal")
    with serving("--journal", tmp_path / "journal", "--port", 0) as served:
        about = served.get("/api/about")
        assert (about["mode"], about["place"]) == ("history", str(tmp_path / "journal"))
        wait_until(lambda: not served.get("/api/about")["reading"])
        rows = served.get("/api/rows?filter=--wrong")["rows"]
        assert "governance.decision" in {row[2] for row in rows}
        past = served.get(f"/api/past?until={rows[-1][1]}&count=3")
        assert len(past["rows"]) == 3
        assert past["more"]
        assert past["rows"][-1][1] < rows[-1][1]

        errors = served.stop(number)

    assert served.process.returncode == 0
    assert errors == f"showing {tmp_path / 'journal'}; Ctrl-C ends it\n"


def test_taken_port_is_told_where_it_was_asked_for(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = refused("--journal", str(tmp_path), "--port", str(port))

    assert done.returncode == 1
    assert f"127.0.0.1:{port} is in use: set --port to another port, or to 0" in done.stderr


def test_second_one_takes_the_next_port_and_says_so(tmp_path: Path) -> None:
    with serving("--journal", tmp_path) as first, serving("--journal", tmp_path) as second:
        assert first.port != second.port
        assert first.token != second.token
        errors = second.stop()

    assert f"port {DEFAULT_PORT} is in use: this is port {second.port}\n" in errors


def test_what_cannot_be_shown_is_said_before_anything_is_served(tmp_path: Path) -> None:
    done = refused("--journal", str(tmp_path / "nothing"))

    assert (done.returncode, done.stdout) == (2, "")
    assert f"there is no journal in {tmp_path / 'nothing'}" in done.stderr


def test_configured_journal_that_nobody_has_written_is_waited_for(tmp_path: Path) -> None:
    config = tmp_path / "hypervisor.toml"
    config.write_text('[plugins.journal]\ndirectory = "journal"\n')

    with serving("--config", config, "--port", 0) as served:
        write(tmp_path / "journal", make_event(7))
        wait_until(lambda: served.get("/api/rows?first=0&count=9")["next"] == 1)
        errors = served.stop()

    waiting = f"there is no journal in {tmp_path / 'journal'} yet: waiting for the first process\n"
    assert errors.startswith(waiting)
