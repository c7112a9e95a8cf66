"""Each way to get a source wrong fails in the tests that are about it, and in no others."""

import json
from unittest import SkipTest

import pytest

from tests.crew import broken_sources, broken_watching, crew
from tests.crew.broken_watching import CANCELLED, STREAMS
from tests.crew.crew_contract import CrewContract
from tests.crew.crew_source import CrewSource

pytestmark = pytest.mark.slow

FAULTS = broken_watching.FAULTS | broken_sources.FAULTS


class Contract(CrewContract):
    """The contract, to be asked test by test."""

    abandoned_streams = 100

    def __init__(self, source: type[CrewSource]) -> None:
        self.source = source
        if FAULTS.get(source, frozenset()) & {*CANCELLED, *STREAMS}:
            self.patience_seconds = 5.0  # what it waits for in vain, it waits for often

    def make_source(self) -> object:
        return self.source()


def failures(source: type[CrewSource]) -> dict[str, str]:
    """Give the tests that fail, with what they say."""
    contract = Contract(source)
    found = {}
    for name in dir(contract):
        if name.startswith("test_"):
            left = list(crew.observers), crew.Agent.run
            try:
                getattr(contract, name)()
            except SkipTest:
                raise AssertionError(f"{name} is skipped") from None
            except (AssertionError, Exception) as error:
                found[name.removeprefix("test_")] = str(error)
            finally:
                crew.observers[:], crew.Agent.run = left  # type: ignore[method-assign]  # taken back
    return found


@pytest.mark.parametrize("source", FAULTS, ids=lambda source: source.__name__)
def test_fault_is_found_where_it_is(source: type[CrewSource]) -> None:
    found = failures(source)
    assert found.keys() == FAULTS[source], json.dumps(found, indent=1)


def test_right_source_passes() -> None:
    assert failures(CrewSource) == {}
