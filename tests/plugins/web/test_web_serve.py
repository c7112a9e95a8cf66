"""``hvobs serve``: the page over what is recorded, as one starts and ends it."""

import http.client
import json
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import pytest
from attrs import define

from hypervisor_web.config import DEFAULT_PORT
from tests.plugins.web import scenario
from tests.waiting import wait_until

ADDRESS = re.compile(r"http://127\.0\.0\.1:(\d+)/#token=([\w-]{22})\n")


@define(eq=False)
class Served:
    """A running ``hvobs serve``."""

    process: "subprocess.Popen[str]"
    port: int
    token: str

    def get(self, path: str) -> Any:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request("GET", path, headers={"Authorization": f"Bearer {self.token}"})
            answer = connection.getresponse()
            assert answer.status == 200, (answer.status, answer.read())
            return json.loads(answer.read())
        finally:
            connection.close()

    def stop(self, number: int = signal.SIGINT) -> str:
        """End it; give what it wrote to stderr."""
        self.process.send_signal(number)
        _, errors = self.process.communicate(timeout=60)
        return errors


@contextmanager
def serving(*options: object) -> Iterator[Served]:
    command = [sys.executable, "-m", "hypervisor_observability", "serve", *map(str, options)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        found = ADDRESS.fullmatch(_line(process.stdout))
        assert found is not None, process.communicate()
        yield Served(process, int(found[1]), found[2])
    finally:
        process.kill()
        process.communicate()


def refused(*options: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "hypervisor_observability", "serve", *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def _line(stream: "IO[str] | None") -> str:
    assert stream is not None
    return stream.readline()


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
