"""Where two sources see the same work, the framework's own records it, and it counts once."""

import asyncio
from collections import Counter
from collections.abc import Mapping
from typing import Any, ClassVar

import pytest

from hypervisor_observability import Observability, hookimpl
from hypervisor_observability.events.event_types import USAGE_RECORDED
from hypervisor_observability.sources import SourceContext
from hypervisor_observability.testing import Seen
from tests.crew import client, crew
from tests.crew.crew_source import CrewSource, Watching


class YieldingWatching(Watching):
    def open(self, kind: Any, number: str, parent: str | None, says: dict[str, Any]) -> None:
        if not self.context.observed_elsewhere(crew.__name__):
            super().open(kind, number, parent, says)

    def used(self, number: str, read: int, written: int) -> None:
        if not self.context.observed_elsewhere(crew.__name__):
            super().used(number, read, written)


class GeneralSource(CrewSource):
    """Sees this framework as it sees many others: by what all of them tell."""

    name = "general"
    targets = ("tests.crew",)
    watching: ClassVar[type[Watching]] = YieldingWatching


class ClientSource:
    """Sees the calls of a client library, whoever makes them."""

    name = "client"
    targets = ("tests.crew.client",)

    @hookimpl
    def instrument(self, context: SourceContext) -> None:
        self.plain = plain = client.chat
        recorder = context.recorder

        async def chat(text: str) -> str:
            if recorder.call_here("model") is not None:
                return await plain(text)
            with recorder.model("fake"):
                recorder.usage(model="fake", input_tokens=3, output_tokens=2)
                return await plain(text)

        client.chat = chat

    @hookimpl
    def uninstrument(self) -> None:
        client.chat = self.plain


def cook() -> crew.Agent:
    async def answer() -> crew.Answer:
        return crew.Answer(await client.chat("salt"), usage=(3, 2))

    return crew.Agent("cook", answer)


def kinds(observability: Observability) -> Mapping[str, int]:
    seen = Seen.of(observability.bus.all_events)
    assert not seen.still_open
    reports = len(seen.points(USAGE_RECORDED.value))
    return Counter(one.kind for one in seen.pieces) + Counter(reports=reports)


ONCE = {"run": 1, "agent": 1, "model": 1, "reports": 1}


@pytest.mark.parametrize("order", [1, -1], ids=["native first", "general first"])
def test_general_source_leaves_a_framework_to_its_own(order: int) -> None:
    sources = [CrewSource(), GeneralSource()][::order]
    with Observability(plugins=sources) as observability:
        assert asyncio.run(cook().arun("salt?")) == "SALT"
        assert kinds(observability) == ONCE


def test_general_source_sees_a_framework_that_nobody_else_does() -> None:
    with Observability(plugins=[GeneralSource()]) as observability:
        assert cook().run("salt?") == "SALT"
        assert kinds(observability) == ONCE


def test_general_source_goes_on_where_the_other_one_has_stopped() -> None:
    with Observability(plugins=[GeneralSource()]) as general:
        with Observability(plugins=[CrewSource()]) as native:
            cook().run("salt?")
        cook().run("salt?")
        assert kinds(native) == ONCE
        assert kinds(general) == ONCE


@pytest.mark.parametrize("order", [1, -1], ids=["native first", "client first"])
def test_call_of_a_client_library_within_a_framework_counts_once(order: int) -> None:
    sources = [CrewSource(), ClientSource()][::order]
    with Observability(plugins=sources) as observability:
        assert cook().run("salt?") == "SALT"
        assert asyncio.run(cook().arun("salt?")) == "SALT"
        assert kinds(observability) == {key: 2 * count for key, count in ONCE.items()}


def test_call_of_a_client_library_beside_a_framework_counts() -> None:
    with Observability(plugins=[CrewSource(), ClientSource()]) as observability:
        cook().run("salt?")
        assert asyncio.run(client.chat("pepper")) == "PEPPER"
        assert kinds(observability) == ONCE | {"model": 2, "reports": 2}


def test_call_of_a_client_library_within_a_scope_of_the_application_counts_once() -> None:
    with Observability(plugins=[ClientSource()]) as observability:
        with observability.recorder.model("fake"):
            assert asyncio.run(client.chat("pepper")) == "PEPPER"
        assert kinds(observability) == {"model": 1}


def test_parallel_calls_of_a_client_library_within_a_framework_count_once() -> None:
    async def main() -> None:
        await asyncio.gather(*(cook().arun("salt?") for _ in range(20)), client.chat("pepper"))

    with Observability(plugins=[CrewSource(), ClientSource()]) as observability:
        asyncio.run(main())
        assert kinds(observability) == {"run": 20, "agent": 20, "model": 21, "reports": 21}
