"""A filter by an agent's name finds what ``hvobs query`` finds, whenever the agent joined."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from hypervisor_observability import EventType
from hypervisor_observability.search.agent_names import AgentNames
from hypervisor_observability.serving.pages import Request
from hypervisor_observability.stores import History
from hypervisor_web import WebConfig
from hypervisor_web.boards.health import Health
from hypervisor_web.everything import Model
from hypervisor_web.feed import older_names
from hypervisor_web.feed.endpoints import Surroundings
from hypervisor_web.feed.older_names import OlderNames
from tests.plugins.web.entries import entry
from tests.plugins.web.past import Past

DID = "did:mesh:builder"
JOIN = entry(0, EventType.SESSION_JOINED, agent_did=DID, payload={"name": "builder"})
LATER = [entry(number, EventType.VFS_WRITE, agent_did=DID) for number in range(1, 5)]


@contextmanager
def opened() -> Iterator[History]:
    yield Past([one.event for one in (JOIN, *LATER)])


def rows(model: Model, **query: str) -> Any:
    pages = model.endpoints(Surroundings(title="", place="", history=opened), Health)
    return json.loads(pages["/api/rows"](Request(query=query)).body)["rows"]


@pytest.mark.parametrize("text", ["--agent builder", "--agent 'build*'", "builder"])
def test_agent_that_joined_before_all_that_is_kept_is_found_by_name(text: str) -> None:
    model = Model(WebConfig())
    model.observers.take(LATER)

    assert len(rows(model, filter=text)) == len(LATER)


def test_long_reading_of_names_holds_up_nobody_and_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(older_names, "_WAIT_SECONDS", 0.01)
    go_on, told, names = threading.Event(), list[str](), AgentNames()

    @contextmanager
    def slowly() -> Iterator[History]:
        go_on.wait(60)
        with opened() as history:
            yield history

    older = OlderNames(names, slowly, told.append)
    assert not older.learn()
    assert "names of agents are still being read" in told[0]

    go_on.set()
    monkeypatch.setattr(older_names, "_WAIT_SECONDS", 60)
    assert older.learn()
    assert names.of(DID) == "builder"


def test_names_that_cannot_be_read_are_told_and_tried_again() -> None:
    told, names, broken = list[str](), AgentNames(), [True]

    @contextmanager
    def opened_at_last() -> Iterator[History]:
        if broken:
            raise OSError(5, "gone")
        with opened() as history:
            yield history

    older = OlderNames(names, opened_at_last, told.append)
    assert not older.learn()
    assert "the names of agents cannot be read" in told[0]

    broken.clear()
    assert older.learn()


def test_name_that_is_known_is_not_replaced_by_an_older_one() -> None:
    names = AgentNames()
    names.meet(entry(9, EventType.SESSION_JOINED, agent_did=DID, payload={"name": "new"}).event)
    with opened() as history:
        names.learn_older(history)

    assert names.of(DID) == "new"
