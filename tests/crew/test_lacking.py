"""A way to run agents is written, or the reason is said why the framework has none."""

from collections.abc import Mapping
from typing import cast
from unittest import SkipTest

import pytest

from hypervisor_observability.testing import AgentScript, Say, SourceContract, Usage
from tests.crew.crew_source import CrewSource

REASON = "agents run in an event loop alone"


class Unwritten(SourceContract):
    """Has no ``run``."""

    def make_source(self) -> object:
        return CrewSource()

    async def run_async(self, agent: AgentScript, request: str) -> object:
        return request

    def stream(self, agent: AgentScript, request: str) -> object:  # type: ignore[override]  # unused
        return request


def test_way_that_is_neither_written_nor_lacked_is_a_mistake() -> None:
    with pytest.raises(TypeError, match="run"):
        cast("type[SourceContract]", Unwritten)()


def test_way_that_the_framework_lacks_need_not_be_written() -> None:
    class Lacking(Unwritten):
        lacks: Mapping[str, str] = {"run": REASON}

    contract = cast("type[SourceContract]", Lacking)()

    assert contract.ways() == ["run_async", "stream"]
    with pytest.raises(SkipTest, match=REASON):
        contract.ways("run")
    with pytest.raises(AssertionError, match="Lacking for what its framework lacks"):
        contract.run(AgentScript("a", (Say("?", Usage(1, 1)),)), "?")
