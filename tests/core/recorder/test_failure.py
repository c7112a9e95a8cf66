"""What is recorded of exceptions: groups say what is in them, and nothing of theirs raises."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypervisor_observability.bus.event_bus import HypervisorEventBus
from hypervisor_observability.events.event_types import AGENT_FINISHED, EventType
from hypervisor_observability.recorder import Recorder
from hypervisor_observability.recorder.failure import describe

BOUND = 16 * 1024
"""Characters of a string in a payload."""


def test_group_says_what_is_in_it_wherever_an_error_is_recorded() -> None:
    bus = HypervisorEventBus()
    recorder = Recorder(bus)

    async def bad(number: int) -> None:
        raise ValueError(f"row {number} is broken")

    async def main() -> None:
        async with recorder.session("s"), recorder.agent("did:a"):
            async with recorder.saga("import", compensate=True) as saga:
                async with saga.step("open", undo=undo):
                    pass
                async with saga.fan_out() as fan_out, fan_out.branch("load"):
                    async with asyncio.TaskGroup() as group:
                        for number in (1, 2):
                            group.create_task(bad(number))

    def undo() -> None:
        raise ExceptionGroup("undo", [OSError("row 1 is broken"), OSError("row 2 is broken")])

    with pytest.raises(ExceptionGroup):
        asyncio.run(main())

    ends = [
        bus.query_by_type(EventType.SAGA_STEP_FAILED)[0],
        bus.query_by_type(EventType.SAGA_FANOUT_RESOLVED)[0],
        bus.query_by_type(EventType.SAGA_COMPENSATING)[1],
        bus.query_by_type(EventType.SAGA_ESCALATED)[0],
        bus.query_by_type(AGENT_FINISHED)[0],
        bus.query_by_type(EventType.SESSION_TERMINATED)[0],
    ]
    for event in ends:
        assert "Error: row 1 is broken; " in event.payload["reason"], event
        assert "Error: row 2 is broken" in event.payload["reason"]
    assert ends[0].payload["error"] == (
        "unhandled errors in a TaskGroup (2 sub-exceptions): "
        "ValueError: row 1 is broken; ValueError: row 2 is broken"
    )
    assert ends[0].payload["error_type"] == "ExceptionGroup"


def test_nested_groups_are_told_by_the_exceptions_inside() -> None:
    inner = BaseExceptionGroup("inner", [KeyError("k"), KeyboardInterrupt()])
    told = describe(BaseExceptionGroup("outer", [inner, ValueError("v"), ValueError("v")]))

    assert told["error"] == (
        "outer (3 sub-exceptions): KeyError: 'k'; KeyboardInterrupt; ValueError: v (2 times)"
    )


def test_deep_group_is_told_without_recursion() -> None:
    error: Exception = ValueError("at the bottom")
    for _ in range(900):
        error = ExceptionGroup("g", [error])

    assert "ValueError: at the bottom" in str(describe(error)["error"])
    for _ in range(5_000):
        error = ExceptionGroup("g", [error])
    assert str(describe(error)["error"]).startswith("g (1 sub-exception)")


ERRORS = st.builds(ValueError, st.text()) | st.just(KeyError()) | st.just(OSError("x" * 20_000))
GROUPS = st.recursive(
    ERRORS,
    lambda inside: st.builds(
        ExceptionGroup, st.text(max_size=9) | st.just("y" * 9_000), st.lists(inside, min_size=1)
    ),
    max_leaves=60,
)


@given(GROUPS.filter(lambda error: isinstance(error, ExceptionGroup)))
def test_groups_stay_within_the_bounds(error: Exception) -> None:
    told = describe(error)

    assert len(str(told["error"])) <= BOUND
    assert len(str(told["reason"])) <= 2_000


class UnprintableError(Exception):
    def __init__(self, raised: BaseException) -> None:
        self._raised = raised

    def __str__(self) -> str:
        raise self._raised


class OddMeta(type):
    @property
    def __module__(cls) -> str:  # type: ignore[override]  # on purpose
        raise RuntimeError("no")


class OddError(Exception, metaclass=OddMeta):
    pass


class LyingGroup(ExceptionGroup[Exception]):
    @property
    def exceptions(self) -> tuple[Exception, ...]:
        raise RuntimeError("no")


@pytest.mark.parametrize(
    "error",
    [
        UnprintableError(RuntimeError()),
        UnprintableError(KeyboardInterrupt()),
        UnprintableError(SystemExit()),
        ExceptionGroup("g", [UnprintableError(SystemExit())]),
        OddError("x"),
        LyingGroup("g", [ValueError("inside")]),
        type("Odd\n", (Exception,), {"__module__": 5})("x"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_exception_that_cannot_be_described_passes_through(error: Exception) -> None:
    bus = HypervisorEventBus()

    with pytest.raises(type(error)) as caught, Recorder(bus).agent("did:a"):
        raise error

    assert caught.value is error
    (finished,) = bus.query_by_type(AGENT_FINISHED)
    assert finished.payload["status"] == "error"
    assert finished.payload["error"]
    if isinstance(error, LyingGroup):
        assert "ValueError: inside" in finished.payload["error"]
