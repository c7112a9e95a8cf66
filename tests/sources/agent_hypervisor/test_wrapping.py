"""A wrapped method is what it was, and what it was again once the source has stopped."""

import asyncio
import copy
import importlib
import inspect
import pickle  # noqa: TID251 - to see that it still works
import traceback
import weakref
from typing import Any

import pytest
from hypervisor.core import Hypervisor, ManagedSession
from hypervisor.models import SessionConfig
from hypervisor.saga.orchestrator import SagaOrchestrator
from hypervisor.saga.state_machine import Saga, SagaStateError, SagaStep, StepState
from hypervisor.session import SharedSessionObject
from hypervisor.session.sso import SessionVFS

from hypervisor_agent_hypervisor import AgentHypervisorSource
from hypervisor_agent_hypervisor.points import POINTS, Point
from hypervisor_observability import Observability, current_trace
from tests.sources.agent_hypervisor.test_sessions import A, session_of
from tests.sources.governed import NAME, all_of, governed, types_of

THERE = [point for point in POINTS if point.only != "5"]


def owner_of(point: Point) -> Any:
    return getattr(importlib.import_module(point.module), point.owner)


def again(value: Any) -> Any:
    """Give *value* as another process gets it."""
    return pickle.loads(pickle.dumps(value))  # noqa: S301 - it was pickled right here


def attributes() -> dict[str, dict[str, object]]:
    """Give all that stands in the classes that are wrapped, and in their order."""
    return {point.title: dict(vars(owner_of(point))) for point in THERE}


def test_every_method_of_the_table_is_there() -> None:
    assert len(THERE) == 52
    for point in THERE:
        assert point.method in vars(owner_of(point)), point.title


def test_every_attribute_is_the_same_object_afterwards() -> None:
    before = attributes()
    with governed():
        during = attributes()
    after = attributes()

    assert {one for one in before if during[one] != before[one]} == set(before)
    for title, kept in before.items():
        assert list(after[title]) == list(kept)
        for name, value in kept.items():
            assert after[title][name] is value, f"{title}: {name}"


def test_nothing_but_the_methods_of_the_table_is_another_one_meanwhile() -> None:
    before = attributes()
    with governed():
        during = attributes()

    wrapped = {(point.owner, point.method) for point in THERE}
    for title, kept in before.items():
        owner = title.partition(".")[0]
        changed = {name for name in kept if during[title][name] is not kept[name]}
        assert changed == {method for one, method in wrapped if one == owner}
        assert during[title].keys() == kept.keys()


@pytest.mark.parametrize("point", THERE, ids=lambda point: point.title)
def test_wrapped_method_looks_as_it_did(point: Point) -> None:
    owner = owner_of(point)
    plain = vars(owner)[point.method]
    with governed():
        wrapped = vars(owner)[point.method]
        assert wrapped is not plain
        assert inspect.signature(wrapped) == inspect.signature(plain)
        assert inspect.iscoroutinefunction(wrapped) is inspect.iscoroutinefunction(plain)
        assert inspect.isfunction(wrapped)
        assert inspect.getsource(wrapped) == inspect.getsource(plain)
        assert inspect.get_annotations(wrapped) == inspect.get_annotations(plain)
        for name in ("__name__", "__qualname__", "__module__", "__doc__"):
            assert getattr(wrapped, name) == getattr(plain, name)
        assert again(wrapped) is wrapped
    assert again(plain) is plain


def test_objects_are_pickled_and_copied_as_before() -> None:
    step = SagaStep("step-1", "book", A, "/book")
    plain = pickle.dumps(step)
    with governed() as bus:
        assert pickle.dumps(step) == plain
        bound = again(step.transition)
        bound(StepState.EXECUTING)
        copied = copy.deepcopy(bound.__self__)
        copied.transition(StepState.COMMITTED)
        assert step.state is StepState.PENDING

    assert types_of(bus)[0] == "saga.step_started"
    assert again(step) == step


def test_overriding_method_that_calls_super_is_seen_once() -> None:
    class Loud(SessionVFS):
        def write(self, path: str, content: str, agent_did: str) -> Any:
            return super().write(path.upper(), content, agent_did)

    class Odd(SharedSessionObject):
        def __init__(self) -> None:
            super().__init__(SessionConfig(), "did:mesh:admin")
            self.more = 1

    class Plain(SessionVFS):
        pass

    with governed() as bus:
        Loud("s-1").write("x", "1", A)
        assert Odd().more == 1
        Plain("s-2").write("y", "2", A)
        assert "write" not in vars(Plain)

    assert [one.payload["path"] for one in all_of(bus, "vfs.write")] == [
        "/sessions/s-1/X",
        "/sessions/s-2/y",
    ]
    assert len(all_of(bus, "session.created")) == 1
    assert "write" not in vars(Plain)


def test_class_that_was_made_meanwhile_works_afterwards() -> None:
    with governed():

        class Late(SessionVFS):
            kept = SessionVFS.write

    edit = Late("s-1").kept("x", "1", A)
    assert (edit.path, edit.operation) == ("/sessions/s-1/x", "create")
    with governed() as bus:
        Late("s-1").kept("x", "1", A)
    assert types_of(bus) == []  # what it kept is that of a source that has stopped


def test_method_that_somebody_else_has_wrapped_since_stays_theirs() -> None:
    plain = SessionVFS.write
    calls = []

    with governed() as bus:
        ours = SessionVFS.write

        def theirs(self: Any, *args: Any, **kwargs: Any) -> Any:
            calls.append(args)
            return ours(self, *args, **kwargs)

        SessionVFS.write = theirs
        SessionVFS("s-1").write("x", "1", A)
    try:
        assert SessionVFS.write is theirs
        assert SessionVFS("s-1").write("y", "2", A).operation == "create"
        assert len(calls) == 2
        assert len(all_of(bus, "vfs.write")) == 1
    finally:
        SessionVFS.write = plain


def test_error_is_the_same_object_and_nobody_keeps_it() -> None:
    with governed():
        step = SagaStep("step-1", "book", A, "/book")
        with pytest.raises(SagaStateError) as caught:
            step.transition(StepState.COMMITTED)
        assert caught.value.__cause__ is caught.value.__context__ is None
        assert traceback.extract_tb(caught.value.__traceback__)[-1].name == "transition"
        gone = weakref.ref(caught.value)
        del caught
        assert gone() is None


def test_wrong_arguments_are_told_by_the_method_itself() -> None:
    async def main() -> None:
        with pytest.raises(TypeError, match=r"execute_step.*missing 1 required.*'executor'"):
            await SagaOrchestrator().execute_step("saga-1", "step-1")

    with governed() as bus:
        with pytest.raises(TypeError, match=r"SessionVFS\.write\(\).*'who'"):
            SessionVFS("s-1").write("x", "1", A, who=1)
        with pytest.raises(TypeError, match="missing 4 required positional arguments: 'self'"):
            SessionVFS.write()
        asyncio.run(main())
        SessionVFS.write(self=SessionVFS("s-1"), agent_did=A, content="1", path="x")

    assert types_of(bus) == ["vfs.write"]


def test_managed_session_with_its_slots_is_left_as_it_is() -> None:
    async def main() -> None:
        managed = await Hypervisor().create_session(SessionConfig(), "did:mesh:admin")
        assert ManagedSession.__slots__ == ("sso", "reversibility", "delta_engine", "saga")
        assert not hasattr(managed, "__dict__")

    with governed():
        asyncio.run(main())


def test_objects_of_theirs_get_no_attribute() -> None:
    plain = {type(one): set(vars(one)) for one in (session_of(A), Saga("g", "s"))}
    with governed():
        for one in (session_of(A), Saga("g", "s")):
            assert set(vars(one)) == plain[type(one)]


def test_source_can_be_turned_on_again_and_again() -> None:
    before = attributes()
    for _ in range(3):
        with governed() as bus:
            session_of(A)
        assert len(all_of(bus, "session.created")) == 1
    assert attributes() == before


def test_second_source_sees_nothing() -> None:
    with governed() as bus, Observability(plugins=[AgentHypervisorSource()]) as second:
        session_of(A)
        assert second.states()[NAME].startswith("down: this source is on already")
        assert second.bus.event_count == 0
    assert len(all_of(bus, "session.created")) == 1


def test_threads_may_work_at_once() -> None:
    from concurrent.futures import ThreadPoolExecutor

    def work(number: int) -> None:
        sso = session_of(A, session_id=f"s-{number}")
        for turn in range(5):
            sso.vfs.write(f"file-{turn}", "1", A)
        sso.activate()
        sso.terminate()
        assert current_trace() is None

    with governed() as bus, ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(200)))

    assert len(all_of(bus, "vfs.write")) == 1000
    assert len(all_of(bus, "session.terminated")) == 200
    joined = {one.session_id: one.causal_trace_id for one in all_of(bus, "session.joined")}
    for written in all_of(bus, "vfs.write"):
        assert written.causal_trace_id == joined[written.session_id]


def test_version_is_that_of_the_distribution() -> None:
    source = AgentHypervisorSource()
    with Observability(plugins=[source]):
        assert source._writer is not None
        assert source._writer.context.version == "3.7.0"
    says: Any = importlib.import_module("hypervisor")
    assert says.__version__ == "3.2.2"
