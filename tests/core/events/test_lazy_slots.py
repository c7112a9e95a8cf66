from typing import Any

import pytest
from attrs.exceptions import FrozenInstanceError

from hypervisor_observability.events import lazy_slots


class Draft:
    __slots__ = ("name", "number")
    name: Any
    number: Any


def make_class() -> type:
    class Value:
        __slots__ = ("name", "number")

    return Value


def make(cls: type, number: object) -> Any:
    draft = Draft()
    draft.number = number
    draft.name = "n"
    draft.__class__ = cls
    return draft


def test_slot_converts_when_read_and_keeps_the_result() -> None:
    calls: list[int] = []

    def convert(number: int) -> str:
        calls.append(number)
        return hex(number)

    cls = make_class()
    lazy_slots.install(cls, "number", convert)
    value = make(cls, 255)

    assert calls == []
    assert value.number == "0xff"
    assert value.number == "0xff"
    assert calls == [255]


def test_slot_that_stores_nothing_converts_at_each_read() -> None:
    cls = make_class()
    lazy_slots.install(cls, "number", str, store=False)
    value = make(cls, 7)

    assert value.number == value.number == "7"
    assert cls.number.member.__get__(value) == 7  # type: ignore[attr-defined]  # installed above


def test_only_the_exact_type_is_converted() -> None:
    cls = make_class()
    lazy_slots.install(cls, "number", str)

    assert make(cls, True).number is True
    assert make(cls, "text").number == "text"


def test_other_type_than_int_may_wait_for_conversion() -> None:
    cls = make_class()
    lazy_slots.install(cls, "number", tuple, when=list)

    assert make(cls, [1, 2]).number == (1, 2)


def test_slot_can_neither_be_assigned_nor_deleted() -> None:
    cls = make_class()
    lazy_slots.install(cls, "number", str)
    value = make(cls, 1)

    with pytest.raises(FrozenInstanceError):
        value.number = 2
    with pytest.raises(FrozenInstanceError):
        object.__setattr__(value, "number", 2)
    with pytest.raises(FrozenInstanceError):
        del value.number
    assert value.number == "1"


def test_class_shows_the_descriptor() -> None:
    cls = make_class()
    lazy_slots.install(cls, "number", str)
    slot = vars(cls)["number"]

    assert getattr(cls, "number") is slot  # noqa: B009 - mypy knows no such attribute
    assert repr(slot) == "<lazy slot 'number' of 'Value'>"


def test_slot_that_is_empty_raises_as_any_slot() -> None:
    cls = make_class()
    lazy_slots.install(cls, "number", str)

    with pytest.raises(AttributeError):
        cls().number  # noqa: B018 - the read is what is tested


@pytest.mark.parametrize("name", ["missing", "__init__", "number"])
def test_install_takes_nothing_but_a_slot_that_is_not_lazy_yet(name: str) -> None:
    cls = make_class()
    lazy_slots.install(cls, "number", str)

    with pytest.raises(TypeError, match=rf"Value\.{name}: expected a slot"):
        lazy_slots.install(cls, name, str)
