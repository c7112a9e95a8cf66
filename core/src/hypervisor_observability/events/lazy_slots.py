"""Slots that hold something cheap until somebody reads them.

An id is drawn as a number and becomes text when it is first read; most ids of a busy
process are never read. ``install`` puts the conversion in front of a slot of a finished
class, where no reader can pass it: attribute access, ``attrs.asdict``, ``==`` and ``repr``
all see the converted value.
"""

from collections.abc import Callable
from types import MemberDescriptorType
from typing import Any

from attrs.exceptions import FrozenInstanceError


class LazySlot:
    """A slot that converts what it holds when it is read, and cannot be assigned.

    Attributes:
        member: The slot's own descriptor. ``member.__set__(instance, raw)`` fills it.
        convert: Turns what is held into what is read. Called at most once per instance,
            or by two threads at once with equal results, unless ``store`` is False.
        when: The exact type of what still has to be converted.
        store: Whether the converted value replaces what was held.
    """

    def __init__(
        self,
        member: MemberDescriptorType,
        convert: Callable[[Any], Any],
        *,
        when: type = int,
        store: bool = True,
    ) -> None:
        self.member = member
        self.convert = convert
        self.when = when
        self.store = store
        self.__name__ = member.__name__
        self.__objclass__ = member.__objclass__
        self.__doc__ = member.__doc__
        # Bound once: looking the slot wrapper up again would double the cost of a read.
        self._read = member.__get__

    def __get__(self, instance: object | None, owner: type | None = None) -> Any:
        if instance is None:
            return self
        value = self._read(instance, owner)
        if type(value) is not self.when:
            return value
        value = self.convert(value)
        if self.store:
            self.member.__set__(instance, value)
        return value

    def __set__(self, instance: object, value: object) -> None:
        raise FrozenInstanceError

    def __delete__(self, instance: object) -> None:
        raise FrozenInstanceError

    def __repr__(self) -> str:
        return f"<lazy slot {self.__name__!r} of {self.__objclass__.__name__!r}>"


def install(
    cls: type,
    name: str,
    convert: Callable[[Any], Any],
    *,
    when: type = int,
    store: bool = True,
) -> None:
    """Make the slot *name* of *cls* convert what it holds when it is read.

    From then on nothing but the slot's own descriptor can fill it, neither a generated
    ``__init__`` nor ``object.__setattr__``: fill instances of a twin class with the same
    slots and give them their class afterwards.

    Raises:
        TypeError: *cls* has no slot *name* of its own, or it is lazy already.
    """
    member = cls.__dict__.get(name)
    if not isinstance(member, MemberDescriptorType):
        raise TypeError(f"{cls.__name__}.{name}: expected a slot, got {type(member).__name__}")
    setattr(cls, name, LazySlot(member, convert, when=when, store=store))
