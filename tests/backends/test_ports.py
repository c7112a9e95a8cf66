"""A port that a test is given belongs to nobody else until the test starts its server."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.ports import free_port, free_ports

ROOT = Path(__file__).parents[2]

ASK_FOR = """
import sys
from tests import ports

wanted = [int(port) for port in sys.argv[1:]]
ports._candidates = lambda: iter(wanted)
try:
    print(ports.free_ports(len(wanted)) == wanted)
except OSError as error:
    print(error)
"""


def ask_in_another_process(*ports: int) -> str:
    command = [sys.executable, "-c", ASK_FOR, *map(str, ports)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout


@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux for the range")
def test_system_gives_no_such_port_to_others() -> None:
    lowest = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])

    assert all(1_024 <= port < lowest for port in free_ports(50))


def test_port_is_given_once() -> None:
    ports = [free_port(), *free_ports(50)]

    assert len(set(ports)) == len(ports)
    assert ask_in_another_process(*ports[:2]).startswith("no 2 free ports")
