"""What a signal handler raises is the application's: nothing takes it for a fault of the work."""

import asyncio
import signal
from collections.abc import Callable, Iterator, MutableMapping
from types import FrameType
from typing import Any

import pytest

from hypervisor_observability import (
    CausalTraceId,
    EventType,
    GovernanceMetrics,
    HypervisorEvent,
    HypervisorEventBus,
    Propagator,
    Recorder,
    SagaSpanExporter,
    current_trace,
)
from hypervisor_observability.causality.message_carriers import carrier_in


class Alarm(TimeoutError):  # noqa: N818 - what it is
    """As those of alarms are, an OSError too."""


class BlockError(Exception):
    pass


@pytest.fixture
def alarm() -> Iterator[Callable[[], None]]:
    """Gives a function that a signal handler interrupts with an ``Alarm``."""

    def handler(_signum: int, _frame: FrameType | None) -> None:
        raise Alarm

    before = signal.signal(signal.SIGUSR1, handler)
    yield lambda: signal.raise_signal(signal.SIGUSR1)
    signal.signal(signal.SIGUSR1, before)


class Odd(MutableMapping[str, str]):
    """Is struck whatever it is asked."""

    def __init__(self, strike: Callable[[], None]) -> None:
        self.strike = strike

    def _struck(self, *_: object) -> Any:
        self.strike()

    __bool__ = __len__ = __iter__ = __getitem__ = __setitem__ = __delitem__ = _struck


class OddError(Exception):
    def __init__(self, strike: Callable[[], None]) -> None:
        super().__init__()
        self.strike = strike

    def __str__(self) -> str:
        self.strike()
        return ""


def fail(strike: Callable[[], None]) -> None:
    with Recorder(HypervisorEventBus()).step("a"):
        raise OddError(strike)


def read_gauge(strike: Callable[[], None]) -> None:
    governance = GovernanceMetrics(HypervisorEventBus())
    governance.register_active_agents_gauge(strike)  # type: ignore[arg-type]  # it never gives any
    governance.collect()


def end_saga_into_a_sink(strike: Callable[[], None]) -> None:
    class Sink:
        record_span: Any = staticmethod(lambda **_: strike())

    bus = HypervisorEventBus()
    SagaSpanExporter(bus).attach_sink(Sink())
    with Recorder(bus).step("a"):
        pass


CALLS: dict[str, Callable[[Callable[[], None]], object]] = {
    "a failure's message": fail,
    "the callback of a gauge": read_gauge,
    "a sink of spans": end_saga_into_a_sink,
    "an argument's truth": lambda s: Recorder(HypervisorEventBus()).decision(
        Odd(s),  # type: ignore[arg-type]  # on purpose
        tool_name="a",
    ),
    "inject of a trace": lambda s: CausalTraceId().inject(Odd(s)),
    "extract of a trace": lambda s: CausalTraceId.extract(Odd(s)),
    "inject": lambda s: Propagator().inject(Odd(s), CausalTraceId()),
    "extract": lambda s: Propagator().extract(Odd(s)),
    "a carrier in a message": lambda s: carrier_in(Odd(s), "a"),
}


@pytest.mark.parametrize("name", CALLS)
def test_alarm_in_what_belongs_to_the_application_reaches_it(
    alarm: Callable[[], None], name: str
) -> None:
    with pytest.raises(Alarm):
        CALLS[name](alarm)
    assert current_trace() is None


@pytest.mark.parametrize("kind", ["with", "async with"])
@pytest.mark.parametrize("where", ["undo", "record"])
def test_alarm_during_undos_stops_no_other_and_is_told(
    bus: HypervisorEventBus, recorder: Recorder, alarm: Callable[[], None], kind: str, where: str
) -> None:
    undone: list[str] = []
    error = BlockError("mine")

    def strike(event: HypervisorEvent) -> None:
        if where == "record" and event.payload.get("compensates_step_id") == "two":
            alarm()

    def steps(saga: Any) -> None:
        with saga.step("one", undo=lambda: undone.append("one")):
            pass
        with saga.step("two", undo=alarm if where == "undo" else list):
            pass
        with saga.step("three", undo=lambda: undone.append("three")):
            pass
        raise error

    async def main() -> None:
        async with recorder.saga("release", compensate=True) as saga:
            steps(saga)

    bus.subscribe(EventType.SAGA_COMPENSATING, strike)
    with pytest.raises(BlockError) as caught:
        if kind == "with":
            with recorder.saga("release", compensate=True) as saga:
                steps(saga)
        asyncio.run(main())

    assert caught.value is error
    assert error.__notes__ == ["Alarm ended an undo before its end"]
    assert undone == ["three", "one"]
    ending = bus.all_events[-1]
    assert ending.payload["outcome"] == "escalated"
    assert ending.payload["failed_compensations"] == ["two"]
