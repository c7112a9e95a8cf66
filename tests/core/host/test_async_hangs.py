"""Hooks that hang in an await are cancelled; an end waits for none of them."""

import asyncio
import functools
import threading
import time
from collections.abc import Sequence
from typing import Any

import pytest
from attrs import define, field

from hypervisor_observability import (
    Config,
    EventType,
    HypervisorEvent,
    Observability,
    hookimpl,
)
from hypervisor_observability.config import DeliveryConfig
from hypervisor_observability.host.plugin_checks import checked
from tests.threads import loop_threads
from tests.waiting import wait_until

pytestmark = pytest.mark.fault("C26")


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
