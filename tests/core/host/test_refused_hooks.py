"""Hooks that would never run, or would only begin something, are refused."""

import asyncio
import functools
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Sequence
from concurrent.futures import Future
from types import coroutine

import pytest

from hypervisor_observability import (
    EventType,
    HypervisorEvent,
    Observability,
    hookimpl,
)
from hypervisor_observability.config import DeliveryConfig
from hypervisor_observability.host.plugin_checks import checked

pytestmark = pytest.mark.fault("C26")


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
