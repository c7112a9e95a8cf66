"""What all tests share: waiting, ports, and servers that may be missing."""

import contextlib
import gc
import os
import signal
import socket
import threading
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
from coverage import Coverage
from hypothesis import HealthCheck, settings

from tests import ports, programs, waiting
from tests.resolvers import Names

# Its asserts say as much as those of the tests.
pytest.register_assert_rewrite("hypervisor_observability.testing")

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


def pytest_collection_finish() -> None:
    """Spare the garbage collector what was collected: tests have it look for garbage often."""
    gc.collect()
    gc.freeze()


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


@pytest.fixture(scope="session")
def server_or_skip() -> Callable[..., Any]:
    """As ``found_or_skip``."""
    return programs.found_or_skip


@pytest.fixture
def free_port() -> int:
    """A TCP port of the loopback interface that nothing listens on at this moment."""
    return ports.free_port()


@pytest.fixture
def names() -> Iterator[Names]:
    """A resolver that answers at once until a test clears ``names.open``."""
    made = Names()
    made.open.set()
    yield made
    made.open.set()


@pytest.fixture
def silent_name_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No name of a host leads anywhere, nor is that said, until the test ends."""
    ended = threading.Event()

    def resolve(*_: object, **__: object) -> list[Any]:
        ended.wait(60)
        return []

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    yield
    ended.set()


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder in which ``tempfile`` makes others."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    return folder


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
    """As the function of that name."""
    return waiting.wait_until
