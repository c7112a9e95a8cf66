"""What all tests share: waiting, ports, and servers that may be missing."""

import contextlib
import os
import signal
import socket
import time
from collections.abc import Callable, Generator, Iterator
from typing import TypeVar

import pytest
from coverage import Coverage
from hypothesis import HealthCheck, settings

Found = TypeVar("Found")

# Shared machines pause for whole seconds: no example has a deadline. In CI the examples are the
# same in every run; elsewhere each run looks at new ones.
settings.register_profile("local", deadline=None)
settings.register_profile(
    "ci",
    deadline=None,
    max_examples=50,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("ci" if os.environ.get("CI") == "true" else "local")

# A shell that starts its commands in the background has them ignore interrupts, and so would
# every command that a test starts and then interrupts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, None, None]:
    """Try great numbers of things without counting lines, which doubles what they take.

    Other tests count the same lines. Those with servers count theirs.
    """
    counting = Coverage.current()
    great = item.get_closest_marker("slow") and not item.get_closest_marker("backend")
    if counting is None or not great:
        return (yield)
    counting.stop()
    try:
        return (yield)
    finally:
        counting.start()


def found_or_skip(name: str, find: Callable[[], Found | None], how_to_get: str) -> Found:
    """Give what *find* finds; where it finds nothing, fail in CI and skip elsewhere.

    :param name: What is looked for, as a reader knows it.
    :param find: Looks for it; None where it is not there.
    :param how_to_get: What a reader can do, as a sentence.
    """
    found = find()
    if found is not None:
        return found
    message = f"{name} is not on this machine. {how_to_get}"
    if os.environ.get("CI") == "true":
        pytest.fail(message)
    pytest.skip(message)


@pytest.fixture(scope="session")
def server_or_skip() -> Callable[[str, Callable[[], Found | None], str], Found]:
    """Find a server's program: ``server_or_skip(name, find, how_to_get)``."""
    return found_or_skip


@pytest.fixture
def free_port() -> int:
    """A TCP port of the loopback interface that nothing listens on at this moment."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


@pytest.fixture
def black_hole() -> Iterator[int]:
    """A port of 127.0.0.1 that takes no connection and refuses none, as a dead host does.

    It is the queue of a listener, filled by connections that nobody accepts: what comes later is
    dropped.
    """
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        port: int = listener.getsockname()[1]
        for _ in range(8):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", port))
        yield port


@pytest.fixture(scope="session")
def wait_until() -> Callable[..., None]:
    """Wait for something to become true: ``wait_until(predicate, timeout=30.0)``."""

    def wait(predicate: Callable[[], object], timeout: float = 30.0) -> None:
        deadline = time.monotonic() + timeout
        while not predicate():
            if time.monotonic() > deadline:
                pytest.fail(f"still not true after {timeout} s: {predicate}")
            time.sleep(0.01)

    return wait
