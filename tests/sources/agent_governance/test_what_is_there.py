"""agent-governance-toolkit-core brings a part of agent-hypervisor: that much is seen of it."""

import asyncio
import importlib
import logging
from importlib import metadata
from typing import Any

import pytest

from hypervisor_agent_hypervisor import AgentHypervisorSource
from hypervisor_agent_hypervisor.points import POINTS, Point
from hypervisor_observability import Observability
from tests.sources.governed import (
    NAME,
    all_of,
    governed,
    import_quietly,
    only,
    trees,
    types_of,
)

A, B = "did:mesh:a", "did:mesh:b"
IS_NEW = int(metadata.version("agent-governance-toolkit-core").partition(".")[0]) >= 5
GONE = ("fan_out", "checkpoint", "liability", "commitment", "gc", "intent_locks", "vector_clock")


def is_gone(point: Point) -> bool:
    return (IS_NEW and point.module.endswith(GONE[:2] + GONE[3:])) or (
        IS_NEW and ".liability." in point.module
    )


@pytest.fixture(autouse=True)
def hypervisor() -> Any:
    return import_quietly("hypervisor")


def test_what_is_gone_is_told_in_one_line_and_is_no_warning(
    caplog: pytest.LogCaptureFixture,
) -> None:
    import_quietly("agent_os")
    caplog.set_level(logging.INFO, "hypervisor_observability")

    with governed():
        lines = [one for one in caplog.records if "not seen" in one.getMessage()]

    if not IS_NEW:
        assert lines == []
        return
    (line,) = lines
    assert line.levelname == "INFO"
    for point in POINTS:
        assert (point.title in line.getMessage()) is is_gone(point), point.title


def test_every_attribute_is_the_same_object_afterwards() -> None:
    import_quietly("agent_os")
    there = [point for point in POINTS if point.find() is not None]
    before = {one.title: dict(vars(one.find() or object)) for one in there}

    with governed():
        for one in there:
            assert vars(one.find() or object)[one.method] is not before[one.title][one.method]

    assert len(there) >= 38
    for one in there:
        after = dict(vars(one.find() or object))
        assert list(after) == list(before[one.title])
        assert all(after[name] is value for name, value in before[one.title].items())


def test_session_with_a_saga_is_seen_whole() -> None:
    core: Any = importlib.import_module("hypervisor.core")
    models: Any = importlib.import_module("hypervisor.models")

    async def main() -> None:
        runtime = core.Hypervisor()
        managed = await runtime.create_session(models.SessionConfig(), "did:mesh:admin")
        session_id = managed.sso.session_id
        await runtime.join_session(session_id, A, sigma_raw=0.85)
        await runtime.activate_session(session_id)
        made = managed.saga
        made.DEFAULT_RETRY_DELAY_SECONDS = 0
        saga = made.create_saga(session_id)
        step = made.add_step(saga.saga_id, "book", A, "/book", "/cancel", max_retries=1)
        tries = []

        async def book() -> None:
            tries.append(managed.sso.vfs.write("x", "1", A))
            if len(tries) == 1:
                raise ValueError("no")

        await made.execute_step(saga.saga_id, step.step_id, book)
        await runtime.terminate_session(session_id)

    with governed() as bus:
        asyncio.run(main())

    agent, saga, *steps = trees(bus)
    assert agent == f"agent {A} ok"
    assert saga.startswith("  saga ")
    assert steps == ["    step book FAILED", "    step book ok"]
    assert only(bus, "saga.completed").payload["outcome"] == "committed"
    assert types_of(bus)[-1] == "session.archived"


def test_command_that_is_denied_is_a_decision() -> None:
    enforcer = importlib.import_module("hypervisor.rings.enforcer").RingEnforcer()
    if not IS_NEW:
        assert not hasattr(enforcer, "check_command")
        return
    with governed() as bus:
        assert enforcer.check_command("ls -l").allowed
        assert not enforcer.check_command("curl http://x").allowed
        assert not enforcer.check_command("").allowed

    decisions = [one.payload for one in all_of(bus, "governance.decision")]
    assert [one["tool_name"] for one in decisions] == ["ls", "curl", "command"]
    assert [one["allowed"] for one in decisions] == [True, False, False]


def test_version_is_that_of_the_distribution() -> None:
    with Observability(plugins=[source := AgentHypervisorSource()]) as observability:
        assert observability.states() == {NAME: "running"}
        assert source._writer is not None
        installed = metadata.version("agent-governance-toolkit-core")
        assert source._writer.context.version == installed
