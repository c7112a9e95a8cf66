"""Methods are wrapped and given back: what holds of any class, without the framework."""

import asyncio
import functools
import inspect
from collections.abc import Callable
from typing import Any

import pytest

from hypervisor_agent_hypervisor.wrapping import Call, Patch, Watches, patch


class Kitchen:
    """What a test wraps."""

    closed = False

    def cook(self, dish: str, /, *sides: str, salt: int = 1, **more: int) -> tuple[Any, ...]:
        """Cook."""
        return dish, sides, salt, more

    def burn(self, dish: str = "toast") -> None:
        raise ValueError(dish)

    async def serve(self, dish: str, table: int = 7) -> tuple[str, int]:
        await asyncio.sleep(0)
        return dish, table

    @staticmethod
    def rinse() -> str:
        return "clean"

    @classmethod
    def name(cls) -> str:
        return cls.__name__

    @property
    def size(self) -> int:
        return 3


class Canteen(Kitchen):
    """Inherits everything."""


def watching(owner: type, name: str, calls: list[Call]) -> Patch | None:
    watch: Callable[[Call], Any] = calls.append
    return patch(owner, name, Watches(before=watch, after=watch, raised=watch))


def test_call_is_told_with_its_arguments_by_name() -> None:
    calls: list[Call] = []
    found = watching(Kitchen, "serve", calls)
    assert found is not None
    kitchen = Kitchen()
    try:
        assert asyncio.run(kitchen.serve("soup")) == ("soup", 7)
        assert asyncio.run(Kitchen.serve(table=2, dish="tea", self=kitchen)) == ("tea", 2)
    finally:
        found.take_back()

    before, after, *_ = calls
    assert before is after
    assert (after.target, after.given) == (kitchen, {"dish": "soup", "table": 7})
    assert (after.result, after.error) == (("soup", 7), None)
    assert after.seconds > 0
    assert calls[-1].given == {"dish": "tea", "table": 2}


def test_arguments_of_every_kind_are_passed_on() -> None:
    calls: list[Call] = []
    plain = Kitchen().cook("soup", "bread", "rice", salt=2, pepper=3)
    found = watching(Kitchen, "cook", calls)
    assert found is not None
    try:
        assert Kitchen().cook("soup", "bread", "rice", salt=2, pepper=3) == plain
        with pytest.raises(TypeError, match=r"Kitchen\.cook\(\) missing 1 required positional"):
            Kitchen().cook()  # type: ignore[call-arg]  # on purpose
    finally:
        found.take_back()

    assert calls[1].given == {"dish": "soup", "salt": 2, "pepper": 3}


def test_error_is_told_and_passes_through_unchanged() -> None:
    seen: list[BaseException | None] = []
    found = patch(Kitchen, "burn", Watches(raised=lambda call: seen.append(call.error)))
    assert found is not None
    try:
        with pytest.raises(ValueError, match="toast") as caught:
            Kitchen().burn()
    finally:
        found.take_back()

    assert seen == [caught.value]
    assert caught.value.__context__ is None


@pytest.mark.parametrize("error", [KeyboardInterrupt, GeneratorExit, asyncio.CancelledError])
def test_interruption_of_a_coroutine_is_told(error: type[BaseException]) -> None:
    seen: list[BaseException | None] = []
    found = patch(Kitchen, "serve", Watches(raised=lambda call: seen.append(call.error)))
    assert found is not None
    try:
        running = Kitchen().serve("soup")
        running.send(None)
        with pytest.raises(error):
            running.throw(error())
    finally:
        found.take_back()

    assert [type(one) for one in seen] == [error]


@pytest.mark.parametrize("name", ["rinse", "name", "size", "closed", "nothing", "__doc__"])
def test_what_is_no_method_is_left_alone(name: str) -> None:
    before = dict(vars(Kitchen))

    assert watching(Kitchen, name, []) is None
    assert dict(vars(Kitchen)) == before


def test_inherited_method_is_not_made_a_class_own() -> None:
    assert watching(Canteen, "serve", []) is None
    assert "serve" not in vars(Canteen)


def test_method_that_another_tool_has_wrapped_before_is_wrapped_and_given_back() -> None:
    plain = vars(Kitchen)["serve"]

    @functools.wraps(plain)
    async def traced(*args: Any, **kwargs: Any) -> Any:
        return await plain(*args, **kwargs)

    Kitchen.serve = traced  # type: ignore[method-assign]  # as such tools do
    try:
        calls: list[Call] = []
        found = watching(Kitchen, "serve", calls)
        assert found is not None
        assert inspect.iscoroutinefunction(Kitchen.serve)
        assert asyncio.run(Kitchen().serve("soup")) == ("soup", 7)
        assert calls[-1].given == {"dish": "soup", "table": 7}
        found.take_back()
        assert vars(Kitchen)["serve"] is traced
    finally:
        Kitchen.serve = plain  # type: ignore[method-assign]  # likewise


def test_error_is_known_by_the_names_of_its_classes() -> None:
    class DetailError(FileNotFoundError):
        """More special than what is asked for."""

    call = Call(("self",), {}, (None,), {})
    call.error = DetailError()
    assert call.raised("FileNotFoundError")
    assert call.raised("KeyError", "OSError")
    assert not call.raised("KeyError")
