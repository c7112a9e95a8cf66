"""Several processes: forks, prefork servers, restarts. Each shows its own, and nobody else's."""

import multiprocessing
import os
import signal
import urllib.request
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from hypervisor_observability import EventType, Observability

pytestmark = [
    pytest.mark.fault("P9"),
    pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork"),
    # Forking beside threads is what these tests are about.
    pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning"),
]
WIDE_SECONDS = 60
BREACHES = 'agent_hypervisor_ring_breaches_by_agent_total{agent_did="'
RING = 'agent_hypervisor_ring_current{agent_did="'


@pytest.fixture
def config(tmp_path: Path) -> Path:
    file = tmp_path / "hypervisor.toml"
    file.write_text("[plugins.prometheus]\nport = 0\n")
    return file


def record(observability: Observability, agent: str, breaches: int) -> None:
    observability.bus.record(EventType.RING_ASSIGNED, agent_did=agent, payload={"ring": 2})
    for _ in range(breaches):
        observability.bus.record(EventType.RING_BREACH_DETECTED, agent_did=agent)


def text_at(url: str) -> str:
    with urllib.request.urlopen(url, timeout=WIDE_SECONDS) as answer:
        text: str = answer.read().decode()
        return text


def work(observability: Observability, agent: str, connection: Connection) -> None:
    """Emit in a child, then tell what is served there until the parent has seen it."""
    record(observability, agent, 3)
    plugin = observability.plugin("prometheus")
    observability.flush(WIDE_SECONDS)
    for _ in range(int(WIDE_SECONDS / 0.05)):
        plugin = observability.plugin("prometheus")
        # A port that was asked for is shown before it is had; any free one is not.
        if (not plugin.config.port and plugin.port) or observability.states()[
            "prometheus"
        ].startswith("down"):
            break
        connection.poll(0.05)
    connection.send((plugin.port, plugin.url, observability.states()["prometheus"]))
    connection.poll(WIDE_SECONDS)
    observability.stop()


class Children:
    def __init__(self) -> None:
        self.started: list[tuple[multiprocessing.process.BaseProcess, Connection]] = []

    def start(self, observability: Observability, agent: str) -> tuple[int, str, str]:
        context = multiprocessing.get_context("fork")
        ours, theirs = context.Pipe()
        child = context.Process(target=work, args=(observability, agent, theirs))
        child.start()
        self.started.append((child, ours))
        assert ours.poll(WIDE_SECONDS)
        answer: tuple[int, str, str] = ours.recv()
        return answer

    def end(self) -> None:
        for child, connection in self.started:
            connection.send("done")
            child.join(WIDE_SECONDS)
            if child.is_alive() and child.pid:
                os.kill(child.pid, signal.SIGKILL)
                child.join()


@pytest.fixture
def children() -> Iterator[Children]:
    children = Children()
    yield children
    children.end()


def test_forked_children_serve_what_is_theirs_and_the_parent_what_is_its(
    config: Path, children: Children
) -> None:
    with Observability.from_config(config) as observability:
        record(observability, "parent", 2)
        own = observability.plugin("prometheus")
        served = [children.start(observability, f"child-{number}") for number in range(2)]
        texts = [text_at(url) for _, url, _ in served]
        parent = text_at(own.url)

    assert len({own.port, *(port for port, _, _ in served)}) == 3
    for number, text in enumerate(texts):
        assert f'{BREACHES}child-{number}"}} 3.0' in text
        assert "parent" not in text
    assert f'{BREACHES}parent"}} 2.0' in parent
    assert "child" not in parent


def test_child_that_cannot_have_the_port_is_down_and_the_parent_goes_on(
    config: Path, children: Children, free_port: int
) -> None:
    config.write_text(f"[plugins.prometheus]\nport = {free_port}\n")
    with Observability.from_config(config) as observability:
        record(observability, "parent", 1)
        _, _, state = children.start(observability, "child")
        text = text_at(observability.plugin("prometheus").url)

    assert state.startswith("down: ")
    assert f"{free_port} is in use" in state
    assert f'{BREACHES}parent"}} 1.0' in text
    assert "child" not in text


def test_process_that_starts_anew_shows_nothing_of_the_one_before(config: Path) -> None:
    with Observability.from_config(config) as first:
        record(first, "gone", 1)
        assert f'{RING}gone"}} 2.0' in text_at(first.plugin("prometheus").url)
    with Observability.from_config(config) as second:
        assert "gone" not in text_at(second.plugin("prometheus").url)
