"""Ask a sink how much has arrived."""

import time
from http.client import HTTPConnection


def arrived(port: int) -> int:
    """How many spans or lines the sink has counted."""
    connection = HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", "/count")
    count = int(connection.getresponse().read())
    connection.close()
    return count


def wait_for(port: int, count: int, *, timeout: float = 30) -> bool:
    """Wait until the sink has counted *count*; False after *timeout* seconds."""
    deadline = time.monotonic() + timeout
    while arrived(port) < count:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.002)
    return True


def settled(port: int) -> int:
    """The sink's count once it has stopped growing."""
    before, now = -1, arrived(port)
    while now != before:
        time.sleep(0.05)
        before, now = now, arrived(port)
    return now
