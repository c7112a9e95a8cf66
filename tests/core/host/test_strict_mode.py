"""Strict mode: one warning for each mistake, at its place in the user's code."""

import asyncio
import gc
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hypervisor_observability import Config, EventType, Observability, Recorder, StrictWarning
from hypervisor_observability.config import MetricsConfig, load_config
from hypervisor_observability.events.event import HypervisorEvent

Mistake = Callable[[Recorder], object]


@pytest.fixture
def strict() -> Iterator[Observability]:
    with Observability(Config(strict=True)) as observability:
        yield observability


def line() -> int:
    """The line of the caller."""
    return sys._getframe(1).f_lineno


MISTAKES: dict[str, tuple[Mistake, str]] = {
    "ring too far out": (
        lambda r: r.ring_assigned(7),
        "ring.assigned: ring: expected an integer from 0 to 3, got 7",
    ),
    "ring below all": (
        lambda r: r.ring_assigned(-1),
        "ring.assigned: ring: expected an integer from 0 to 255, got -1",
    ),
    "ring that is text": (
        lambda r: r.ring_assigned("2"),  # type: ignore[arg-type]  # the mistake
        "ring.assigned: ring: expected an integer from 0 to 255, got '2'",
    ),
    "severity": (
        lambda r: r.breach("shell", ring=2, severity="catastrophic"),
        "severity: expected low or medium or high or critical, got 'catastrophic'",
    ),
    "tokens that are text": (
        lambda r: r.usage(model="m", input_tokens="12"),  # type: ignore[arg-type]  # the mistake
        "usage.recorded: input_tokens: expected an integer from 0, got '12'",
    ),
    "key that nobody knows": (
        lambda r: r.record(EventType.RING_ASSIGNED, ring=2, rign=2),
        "ring.assigned: rign: not a key of this type",
    ),
    "key that is missing": (
        lambda r: r.record(EventType.of("governance.decision")),
        "governance.decision: allowed: missing",
    ),
    "event of one's own making": (
        lambda r: r.emit(HypervisorEvent(event_type=EventType.RING_ASSIGNED, payload={"ring": 9})),
        "ring.assigned: ring: expected an integer from 0 to 3, got 9",
    ),
}


@pytest.mark.parametrize("kind", MISTAKES)
def test_mistake_is_warned_of_at_its_place(kind: str, strict: Observability) -> None:
    mistake, told = MISTAKES[kind]
    with pytest.warns(StrictWarning) as warned, strict.recorder.agent("did:a"):
        mistake(strict.recorder)

    (only,) = warned
    assert told in str(only.message)
    assert (only.filename, only.lineno) == (__file__, mistake.__code__.co_firstlineno)


def test_scope_that_was_made_and_never_entered_is_warned_of(strict: Observability) -> None:
    with strict.recorder.saga("book") as saga, saga.fan_out() as branches:

        def forget() -> list[int]:
            strict.recorder.agent("did:a")
            saga.step("pay")
            branches.branch("fly")
            return [line() - 3, line() - 2, line() - 1]

        with pytest.warns(StrictWarning, match="never entered: write 'with'") as warned:
            lines = forget()

    assert [(one.filename, one.lineno) for one in warned] == [(__file__, one) for one in lines]


def test_what_is_right_is_not_warned_of(strict: Observability) -> None:
    recorder = strict.recorder

    @recorder.tool("search")
    def search() -> None:
        pass

    @recorder.agent("did:b")
    async def work() -> None:
        async with recorder.step("look", attributes={"anything": 1}):
            search()

    recorder.agent("did:unused")(search)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with recorder.session(), recorder.agent("did:a", ring=3), recorder.elevation(3, 1):
            asyncio.run(work())
            recorder.record(EventType.custom("shop.sold"), ring="whatever")
            recorder.usage(model="m", input_tokens=12)
        gc.collect()


def test_each_place_is_told_once(strict: Observability) -> None:
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        for ring in range(7, 12):
            strict.recorder.ring_assigned(ring)
        strict.recorder.ring_assigned(7)

    assert len(warned) == 2


def test_filter_turns_the_warning_into_an_error_each_time(strict: Observability) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error", StrictWarning)
        for _ in range(2):
            with pytest.raises(StrictWarning, match="got 7"):
                strict.recorder.ring_assigned(7)
            with pytest.raises(StrictWarning), strict.recorder.agent("did:a", ring=9):
                pytest.fail("the agent joined with a ring that there is not")

    assert strict.bus.handler_errors == 0


def test_nothing_is_raised_out_of_emit_where_no_filter_asks_for_it(strict: Observability) -> None:
    with warnings.catch_warnings(record=True):
        warnings.simplefilter("default")
        strict.recorder.ring_assigned(7)

    assert strict.bus.emitted == 1


def test_place_in_a_thread_is_that_of_the_thread(strict: Observability) -> None:
    begin = threading.Event()

    def work() -> None:
        begin.wait()
        strict.recorder.ring_assigned(7)

    thread = threading.Thread(target=work)
    thread.start()

    def run() -> None:
        begin.set()
        thread.join()

    with pytest.warns(StrictWarning) as warned:
        run()

    assert (warned[0].filename, warned[0].lineno) == (__file__, work.__code__.co_firstlineno + 2)


def test_rings_end_where_the_configuration_has_them_end() -> None:
    config = Config(strict=True, metrics=MetricsConfig(max_ring=9))
    with Observability(config) as observability, warnings.catch_warnings():
        warnings.simplefilter("error")
        observability.recorder.ring_assigned(7)


def test_strict_is_a_key_of_the_configuration_and_an_argument(tmp_path: Path) -> None:
    file = tmp_path / "hypervisor.toml"
    file.write_text("strict = true\n")
    assert load_config(file).strict

    with Observability(strict=True) as on, pytest.warns(StrictWarning):
        on.recorder.ring_assigned(7)
    with Observability(Config(strict=True), strict=False) as off:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            off.recorder.ring_assigned(7)
            off.recorder.agent("did:a")


def test_scope_that_was_forgotten_names_its_place_where_it_is_an_error(
    strict: Observability, monkeypatch: pytest.MonkeyPatch
) -> None:
    ignored: list[BaseException | None] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda told: ignored.append(told.exc_value))
    with warnings.catch_warnings():
        warnings.simplefilter("error", StrictWarning)
        strict.recorder.agent("did:a")

    (error,) = ignored
    assert isinstance(error, StrictWarning)
    assert error.__notes__ == [f"made at {__file__}:{line() - 4}"]
