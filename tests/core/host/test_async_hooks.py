"""Hooks that are coroutine functions run, in one event loop; what would never run is refused."""

import asyncio
import functools
import socket
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterator, Sequence
from concurrent.futures import Future
from types import coroutine
from typing import Any

import pytest
from attrs import define, field

from hypervisor_observability import (
    Config,
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
from tests.plugin_contexts import context_for
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


def loop_threads() -> list[str]:
    return [one.name for one in threading.enumerate() if one.name.endswith("-loop")]


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


def test_coroutine_that_raises_what_ends_a_thread_turns_its_plugin_off() -> None:
    class Ending:
        name = "ending"

        @hookimpl
        async def export_events(self) -> None:
            raise SystemExit(3)

    with Observability(plugins=[Ending()]) as observability:
        observability.bus.record(EventType.VFS_WRITE)
        assert not observability.flush(60)
        assert observability.states() == {"ending": "down: export_events raised SystemExit"}


def test_events_that_a_coroutine_emits_are_fed_to_no_plugin() -> None:
    class Emitting:
        name = "emitting"
        bus: Any = None

        @hookimpl
        async def export_events(self) -> None:
            self.bus.record(EventType.VFS_DELETE)

    plugin = Emitting()
    with Observability(plugins=[plugin]) as observability:
        plugin.bus = observability.bus
        observability.bus.record(EventType.VFS_WRITE)
        assert observability.flush(60)
        assert len(observability.internal_events) == 1
        assert observability.counts()["emitting"].emitted == 1


def test_events_that_a_coroutine_emits_in_a_thread_are_fed_to_no_plugin() -> None:
    class Emitting:
        name = "emitting"
        bus: Any = None

        @hookimpl
        async def export_events(self) -> None:
            await asyncio.to_thread(self.bus.record, EventType.VFS_DELETE)

    plugin = Emitting()
    with Observability(plugins=[plugin]) as observability:
        plugin.bus = observability.bus
        observability.bus.record(EventType.VFS_WRITE)
        assert observability.flush(60)
        assert observability.counts()["emitting"].emitted == 1


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


# What hangs


@define(eq=False)
class Hanging:
    """Hangs the first time, in an await."""

    config: Any = None
    swallows: bool = False

    made: "list[Hanging]" = field(factory=list)
    cancelled: threading.Event = field(factory=threading.Event)
    released: threading.Event = field(factory=threading.Event)
    taken: list[HypervisorEvent] = field(factory=list)

    @hookimpl
    async def start(self) -> None:
        asyncio.create_task(asyncio.sleep(3_600)).add_done_callback(lambda _: None)

    @hookimpl
    async def export_events(self, events: Sequence[HypervisorEvent]) -> None:
        if self.made[0] is self and not self.cancelled.is_set():
            while not self.released.is_set():
                try:
                    await asyncio.sleep(0.01)
                except asyncio.CancelledError:
                    self.cancelled.set()
                    if not self.swallows:
                        raise
        self.taken += events


def observing(plugin: Hanging, *, renews: bool) -> Observability:
    delivery = DeliveryConfig(hook_timeout_seconds=0.3)
    observability = Observability(Config(delivery=delivery), plugins=[plugin])
    reader = observability._group.readers["hanging"]

    def make() -> Hanging:
        made = Hanging(made=plugin.made)
        plugin.made.append(made)
        return made

    if renews:  # as where the configuration names it
        renewed = functools.partial(reader._renewed, lambda: checked("hanging", make(), delivery))
        worker: Any = reader.worker
        object.__setattr__(worker._terms, "renewed", renewed)
    return observability


@pytest.mark.parametrize("swallows", [False, True])
def test_coroutine_that_hangs_is_cancelled_and_a_fresh_instance_takes_over(swallows: bool) -> None:
    plugin = Hanging(swallows=swallows)
    plugin.made.append(plugin)
    with observing(plugin, renews=True) as observability:
        observability.bus.record(EventType.VFS_WRITE)
        assert plugin.cancelled.wait(60)
        wait_until(lambda: len(plugin.made) == 2)
        observability.bus.record(EventType.VFS_WRITE)
        wait_until(lambda: observability.counts()["hanging"].delivered == 1)
        assert len(plugin.made[1].taken) == 1
        assert observability.counts()["hanging"].dropped == {"in_doubt": 1}
        assert observability.states() == {"hanging": "running"}
    plugin.released.set()
    wait_until(lambda: loop_threads() == [])


def test_instance_that_cannot_be_made_again_goes_on_after_its_call_was_cancelled() -> None:
    plugin = Hanging()
    plugin.made.append(plugin)
    with observing(plugin, renews=False) as observability:
        observability.bus.record(EventType.VFS_WRITE)
        assert plugin.cancelled.wait(60)
        wait_until(lambda: observability.states()["hanging"] == "running")
        observability.bus.record(EventType.VFS_WRITE)
        wait_until(lambda: len(plugin.taken) == 1)
        assert observability.counts()["hanging"].dropped["in_doubt"] == 1


def test_start_that_hangs_in_an_await_is_cancelled_and_the_plugin_is_down() -> None:
    class Never:
        name = "never"

        @hookimpl
        async def start(self) -> None:
            await asyncio.sleep(3_600)

        @hookimpl
        def export_events(self) -> None:
            pass

    config = Config(delivery=DeliveryConfig(hook_timeout_seconds=0.2))
    with Observability(config, plugins=[Never()]) as observability:
        (state,) = observability.states().values()
    assert state == "down: TimeoutError: start has not returned within 0.2 s"


def test_start_that_holds_up_its_loop_holds_up_the_application_no_longer_than_its_deadline() -> (
    None
):
    released = threading.Event()

    class Blocking:
        name = "blocking"

        @hookimpl
        async def start(self) -> None:
            released.wait(60)  # the mistake that is tried

        @hookimpl
        async def export_events(self, events: object) -> None: ...

        @hookimpl
        async def stop(self) -> None: ...

    delivery = DeliveryConfig(hook_timeout_seconds=0.5)
    observability = Observability(Config(delivery=delivery), plugins=[Blocking()])
    before = time.monotonic()
    with observability:
        assert time.monotonic() - before < 4  # the loop's own end is awaited for 5 s
        (state,) = observability.states().values()
    released.set()
    assert state == "down: TimeoutError: start has not returned within 0.5 s"


def test_stop_that_hangs_behind_a_start_that_failed_holds_up_nobody() -> None:
    class Never:
        name = "never"

        @hookimpl
        async def start(self) -> None:
            raise OSError("port taken")

        @hookimpl
        async def stop(self) -> None:
            await asyncio.sleep(3_600)

    config = Config(delivery=DeliveryConfig(hook_timeout_seconds=0.2))
    with Observability(config, plugins=[Never()]) as observability:
        assert observability.states() == {"never": "down: OSError: port taken"}


def test_end_of_the_process_does_not_wait_for_a_coroutine_that_hangs() -> None:
    plugin = Hanging(swallows=True)
    plugin.made.append(plugin)
    observability = Observability(Config(stop_timeout_seconds=0.3), plugins=[plugin]).start()
    observability.bus.record(EventType.VFS_WRITE)

    assert not observability.stop()
    assert observability.counts()["hanging"].missed
    plugin.released.set()


# What would never run


def decorated(function: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
    @functools.wraps(function)
    def wrapper(*arguments: object) -> Awaitable[None]:
        return function(*arguments)

    return wrapper


class GeneratorHook:
    @hookimpl
    def export_events(self, events: Sequence[HypervisorEvent]) -> Generator[None, None, None]:
        for _ in events:
            yield


class AsyncGeneratorHook:
    @hookimpl
    async def flush(self) -> AsyncIterator[None]:
        yield


class GeneratorStart:
    @hookimpl
    def start(self) -> Generator[None, None, None]:
        yield


class OldCoroutine:
    @hookimpl
    @coroutine
    def export_events(self, events: object) -> Generator[None, None, None]:
        yield


class Wrapper:
    @hookimpl(wrapper=True)
    def export_events(self) -> Generator[None, None, None]:
        return (yield)


@pytest.mark.parametrize(
    "plugin", [GeneratorHook(), AsyncGeneratorHook(), GeneratorStart(), OldCoroutine(), Wrapper()]
)
def test_generator_is_refused_when_the_plugin_is_checked(plugin: object) -> None:
    with pytest.raises(ValueError, match=r"generator function.*write 'def \w+' without 'yield'"):
        Observability(plugins=[plugin])
    with pytest.raises(ValueError, match=r"or 'async def \w+', which awaits it"):
        checked("odd", plugin, DeliveryConfig())


class CallableObject:
    async def __call__(self, events: object) -> None: ...


def refused(export_events: object, **others: object) -> object:
    """Make a plugin that has a hook which works, beside one that nobody would call."""

    @hookimpl
    def flush(_self: object) -> None: ...

    others = {"export_events": export_events, "flush": flush, **others}
    return type("Refused", (), others)()


@pytest.mark.filterwarnings("ignore:functools.partial will be a method descriptor:FutureWarning")
@pytest.mark.parametrize(
    ("export_events", "why"),
    [
        (hookimpl(functools.partial(sorted)), "is a partial, which is never called"),
        (hookimpl(CallableObject()), "is a CallableObject, which is never called"),
        (property(lambda _: sorted), "is a property, which is never called"),
        (lambda _self, _events: None, "is not marked, so it is never called: put @hookimpl above"),
    ],
)
def test_hook_that_would_never_be_called_is_refused(export_events: object, why: str) -> None:
    with pytest.raises(ValueError, match=f"export_events {why}"):
        Observability(plugins=[refused(export_events)])


def test_mark_that_is_missing_where_a_hook_is_overridden_is_told() -> None:
    class Base:
        @hookimpl
        def export_events(self, events: object) -> None: ...

        @hookimpl
        def flush(self) -> None: ...

    class Mine(Base):
        def flush(self) -> None: ...

    class Without(Base):
        flush = None  # type: ignore[assignment]  # taken away on purpose

        def start(self) -> None:
            """Not a hook: a method of that name without a mark."""

    with pytest.raises(ValueError, match="flush is not marked, so it is never called"):
        Observability(plugins=[Mine()])
    Observability(plugins=[Without()])


async def nothing() -> None:
    await asyncio.sleep(0)


def a_generator() -> Generator[None, None, None]:
    yield


async def an_async_generator() -> AsyncIterator[None]:
    yield


class Awaited:
    def __await__(self) -> Generator[None, None, None]:
        yield


@pytest.mark.parametrize(
    ("make", "what"),
    [
        (nothing, "returned a coroutine"),
        (decorated(lambda *_: nothing()), "returned a coroutine"),
        (a_generator, "returned a generator"),
        (an_async_generator, "returned an asynchronous generator"),
        (Awaited, "returned an awaitable"),
        (Future, "returned a future"),
    ],
)
def test_what_a_plain_hook_has_only_begun_does_not_count_as_delivered(
    make: Callable[[], object], what: str
) -> None:
    class Accidental:
        name = "accidental"

        @hookimpl
        def export_events(self) -> object:
            return make()

    with Observability(plugins=[Accidental()]) as observability:
        observability.bus.record(EventType.VFS_WRITE)
        assert not observability.flush(60)
        (state,) = observability.states().values()
        counts = observability.counts()["accidental"]
    assert state.startswith(f"down: export_events {what}")
    assert "or 'async def export_events', which awaits it" in state
    assert (counts.delivered, counts.dropped) == (0, {"down": 1})


def test_start_and_coroutines_that_have_only_begun_something_are_refused_too() -> None:
    class Starting:
        name = "starting"

        @hookimpl
        def start(self) -> object:
            return nothing()

    class Beginning:
        name = "beginning"

        @hookimpl
        async def export_events(self) -> object:
            return asyncio.ensure_future(nothing())

    with Observability(plugins=[Starting(), Beginning()]) as observability:
        observability.bus.record(EventType.VFS_WRITE)
        assert not observability.flush(60)
        states = observability.states()
    assert "start returned a coroutine" in states["starting"]
    assert "export_events returned an awaitable (Task)" in states["beginning"]


def test_what_a_hook_returns_otherwise_does_not_matter() -> None:
    class Returning:
        name = "returning"

        @hookimpl
        def export_events(self, events: Sequence[HypervisorEvent]) -> object:
            return list(events)

    with Observability(plugins=[Returning()]) as observability:
        observability.bus.record(EventType.VFS_WRITE)
        assert observability.flush(60)
