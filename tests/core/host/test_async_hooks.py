"""Hooks that are coroutine functions run, in one event loop."""

import asyncio
import socket
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from attrs import define, field

from hypervisor_observability import (
    EventType,
    HypervisorEvent,
    Observability,
    PluginContext,
    Reject,
    RetryLater,
    hookimpl,
)
from hypervisor_observability.config import DeliveryConfig
from hypervisor_observability.host.plugin_checks import checked
from hypervisor_observability.testing import context_for
from tests.threads import loop_threads
from tests.waiting import wait_until

pytestmark = pytest.mark.fault("C26")


@pytest.fixture
def context() -> PluginContext:
    return context_for("asked")


@pytest.fixture
def server() -> Iterator["LineServer"]:
    """A server on this machine that keeps what it is sent."""
    one = LineServer()
    one.start()
    yield one
    one.stop()


class LineServer:
    """Answers each line, and tells connections apart."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.lines: list[str] = []
        self.connections = 0

    def start(self) -> None:
        threading.Thread(target=self._accept, daemon=True).start()

    def stop(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, connection.makefile("rw") as file:
            for line in file:
                self.lines.append(line.strip())
                file.write("ok\n")
                file.flush()


@define(eq=False)
class Streaming:
    """Keeps one connection open, and has a task that beats meanwhile."""

    port: int
    name: str = "streaming"
    loops: set[object] = field(factory=set)
    beats: int = 0
    told: list[str] = field(factory=list)
    _reader: Any = None
    _writer: Any = None
    _beating: Any = None

    @hookimpl
    async def start(self, context: PluginContext) -> None:
        self._note("start")
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self.port)
        self._beating = asyncio.create_task(self._beat())
        assert context.name == "streaming"

    async def _beat(self) -> None:
        while True:
            self.beats += 1
            await asyncio.sleep(0.001)

    @hookimpl
    async def export_events(self, events: Sequence[HypervisorEvent]) -> None:
        self._note("export_events")
        for event in events:
            self._writer.write(f"{event.payload['number']}\n".encode())
            await self._writer.drain()
            assert await self._reader.readline() == b"ok\n"

    @hookimpl
    async def flush(self) -> None:
        self._note("flush")

    @hookimpl
    async def stop(self) -> None:
        self._note("stop")
        self._beating.cancel()
        self._writer.close()
        await self._writer.wait_closed()

    def _note(self, hook: str) -> None:
        self.told.append(hook)
        self.loops.add(asyncio.get_running_loop())


def test_plugin_keeps_a_connection_and_a_task_over_all_its_calls(server: LineServer) -> None:
    plugin = Streaming(server.port)
    with Observability(plugins=[plugin]) as observability:
        assert plugin.told == ["start"]  # before the start returns
        for number in range(300):
            observability.bus.record(EventType.VFS_WRITE, payload={"number": number})
            if number % 100 == 99:
                assert observability.flush(60)
        beats = plugin.beats
        wait_until(lambda: plugin.beats > beats)  # between calls
        counts = observability.counts()["streaming"]

    assert counts.delivered == 300
    assert server.lines == [str(number) for number in range(300)]
    assert server.connections == len(plugin.loops) == 1
    assert plugin.told[-1] == "stop"
    assert loop_threads() == []


def test_coroutine_and_plain_hooks_of_one_plugin_go_together() -> None:
    class Mixed:
        name = "mixed"

        def __init__(self) -> None:
            self.told: list[str] = []

        @hookimpl
        def start(self) -> None:
            self.told.append("start")

        @hookimpl
        async def export_events(self, events: Sequence[HypervisorEvent]) -> None:
            await asyncio.sleep(0)
            self.told.append("events")

        @hookimpl
        def stop(self) -> None:
            self.told.append("stop")

    plugin = Mixed()
    with Observability(plugins=[plugin]) as observability:
        observability.bus.record(EventType.VFS_WRITE)
        assert observability.flush(60)
    assert plugin.told == ["start", "events", "stop"]


def test_coroutines_fail_as_plain_hooks_do() -> None:
    class Failing:
        name = "failing"

        def __init__(self) -> None:
            self.answers = [RetryLater("busy"), asyncio.CancelledError(), None]
            self.taken = 0

        @hookimpl
        async def export_events(self, events: Sequence[HypervisorEvent]) -> None:
            answer = self.answers.pop(0) if self.answers else None
            if answer is not None:
                raise answer
            if any("poison" in event.payload for event in events):
                raise Reject("poison")
            self.taken += len(events)

    plugin = Failing()
    with Observability(plugins=[plugin]) as observability:
        for number in range(100):
            payload = {"poison": 1} if number == 50 else {}
            observability.bus.record(EventType.VFS_WRITE, payload=payload)
        assert not observability.flush(60)
        counts = observability.counts()["failing"]
    assert (counts.delivered, counts.rejected, plugin.taken) == (99, 1, 99)


def test_coroutine_that_raises_what_ends_a_thread_turns_its_plugin_off(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Ending:
        name = "ending"

        @hookimpl
        async def export_events(self) -> None:
            raise SystemExit(3)

    with Observability(plugins=[Ending()]) as observability:
        observability.bus.record(EventType.VFS_WRITE)
        assert not observability.flush(60)
        assert observability.states() == {"ending": "down: export_events raised SystemExit"}
    assert "raise SystemExit(3)" in caplog.text  # the line, for its author


class Emitting:
    """Emits an event for each batch, in a thread if it is to."""

    name = "emitting"
    bus: Any = None

    def __init__(self, *, threaded: bool) -> None:
        self.threaded = threaded

    @hookimpl
    async def export_events(self) -> None:
        if self.threaded:
            await asyncio.to_thread(self.bus.record, EventType.VFS_DELETE)
        else:
            self.bus.record(EventType.VFS_DELETE)


def check_that_nothing_is_fed_to(plugin: Emitting) -> None:
    with Observability(plugins=[plugin]) as observability:
        plugin.bus = observability.bus
        observability.bus.record(EventType.VFS_WRITE)
        assert observability.flush(60)
        assert len(observability.internal_events) == 1
        assert observability.counts()["emitting"].emitted == 1


def test_events_that_a_coroutine_emits_are_fed_to_no_plugin() -> None:
    check_that_nothing_is_fed_to(Emitting(threaded=False))


def test_events_that_a_coroutine_emits_in_a_thread_are_fed_to_no_plugin() -> None:
    check_that_nothing_is_fed_to(Emitting(threaded=True))


def test_command_line_asks_coroutines_too(context: PluginContext) -> None:
    class Asked:
        @hookimpl
        async def check(self, context: PluginContext) -> str:
            await asyncio.sleep(0)
            return f"{context.name} is there"

        @hookimpl
        async def trace_url(self, trace: str) -> str:
            return f"https://traces.example/{trace}"

    plugin = checked("asked", Asked(), DeliveryConfig())
    assert plugin.ask("check", context=context) == "asked is there"
    assert plugin.ask("trace_url", trace="1") == "https://traces.example/1"
    assert plugin.ask("commands") is None
    assert loop_threads() == []
