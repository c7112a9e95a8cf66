"""A fork's child keeps its events apart, or in memory alone; the parent notices nothing of it."""

import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hypervisor_observability import EventType, Observability
from hypervisor_observability.testing.readers import TakingReader
from tests.stores.shelf_store import ShelfStore, ShelfStream, shelf_at
from tests.stores.test_faulty_stores import (
    ERRORS,
    WIDE_SECONDS,
    FaultyPlugin,
    assert_law,
    config_in,
    numbers,
    raising,
    shelf,
    store_with,
)

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="only POSIX forks")


def in_child(work: Callable[[], None]) -> int:
    """Do *work* in a fork's child, which ends at once; give its exit code."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            work()
            code = 0
        except BaseException:
            traceback.print_exc()
            sys.stderr.flush()
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize("of_stream", [False, True])
def test_child_delivers_its_events_although_its_store_cannot_begin_anew(
    tmp_path: Path, error: type[BaseException], of_stream: bool
) -> None:
    class Stream(ShelfStream):
        def begin_anew_after_fork(self) -> None:
            raise error("of the store")

    def stream_for(self: ShelfStore, reader: str, *, defers: bool) -> ShelfStream:
        stream = (Stream if of_stream else ShelfStream)(reader, self.shelf, defers)
        self._streams.append(stream)
        return stream

    methods: dict[str, Any] = {"stream_for": stream_for}
    if not of_stream:
        methods["begin_anew_after_fork"] = raising(error)
    reader = TakingReader()
    plugins = [FaultyPlugin(shelf(tmp_path, store_with(**methods))), reader]

    with Observability(config_in(tmp_path), plugins=plugins) as observability:

        def emit(number: int) -> None:
            observability.bus.record(EventType.VFS_WRITE, payload={"number": number})
            assert observability.flush(WIDE_SECONDS)
            assert_law(observability)

        emit(1)

        def child() -> None:
            reader.events.clear()
            emit(2)
            assert numbers(reader.events) == [2]
            assert observability.bus.sync() is of_stream
            assert observability.status()["store"]["degraded"] is not of_stream
            assert observability.stop()

        assert in_child(child) == 0
        emit(3)
        assert observability.bus.sync()
    assert numbers(reader.events) == [1, 3]
    kept = [entry.event for entry in shelf_at(tmp_path).entries]
    assert numbers(kept) == [1, 3]


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_child_of_a_store_that_is_down_delivers_its_events(tmp_path: Path) -> None:
    reader = TakingReader()
    plugins = [FaultyPlugin(shelf(tmp_path, store_with(start=raising(OSError)))), reader]
    with Observability(config_in(tmp_path), plugins=plugins) as observability:

        def child() -> None:
            observability.bus.record(EventType.VFS_WRITE, payload={"number": 2})
            assert observability.flush(WIDE_SECONDS)
            assert_law(observability)
            assert numbers(reader.events) == [2]
            assert observability.stop()

        assert in_child(child) == 0
