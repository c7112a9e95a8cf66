"""``hvobs serve`` as a process of its own, asked without a browser."""

import http.client
import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

from attrs import define

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
