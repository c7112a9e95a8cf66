"""Dicts and lists that cannot be changed, and are equal to the plain ones."""

from collections.abc import Mapping
from typing import Any, NoReturn, SupportsIndex


def _refuse(self: object, *_: object, **__: object) -> NoReturn:
    raise TypeError(f"{type(self).__name__} is read-only: an event's payload never changes")


class FrozenDict(dict[Any, Any]):
    """A dict that cannot be changed; equal to the plain dict, accepted by ``json.dumps``.

    Attributes:
        cuts: How many values were tagged or cut when it was made. Not set, like ``weight``,
            on one made of a plain dict of scalars, in which there is nothing to tell.
        erased: Whether a journal had it and was told to erase it. Set where it was.
        weight: Roughly the bytes of its strings and nested containers, and of the event's long
            ids.
    """

    __slots__ = ("cuts", "erased", "weight")
    cuts: int
    erased: bool
    weight: int

    __setitem__ = __delitem__ = clear = update = pop = popitem = setdefault = _refuse
    __ior__ = _refuse

    def copy(self) -> dict[Any, Any]:
        """Give a plain dict that may be changed; nested containers stay shared."""
        return dict(self)

    def __copy__(self) -> "FrozenDict":
        return self

    def __deepcopy__(self, memo: object) -> "FrozenDict":
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        state = {name: getattr(self, name) for name in self.__slots__ if hasattr(self, name)}
        return (FrozenDict, (dict(self),), (None, state))


class FrozenList(list[Any]):
    """A list that cannot be changed; equal to the plain list."""

    __slots__ = ()

    __setitem__ = __delitem__ = append = extend = insert = remove = _refuse
    pop = clear = sort = reverse = _refuse
    __iadd__ = __imul__ = _refuse

    def __copy__(self) -> "FrozenList":
        return self

    def __deepcopy__(self, memo: object) -> "FrozenList":
        return self

    def __reduce_ex__(self, protocol: SupportsIndex) -> tuple[Any, ...]:
        return (FrozenList, (list(self),))


def erased_payload() -> FrozenDict:
    """Give what stands for a payload that was erased: an empty dict that says so."""
    result = FrozenDict()
    result.cuts = result.weight = 0
    result.erased = True
    return result


def heavier(payload: Mapping[Any, Any], weight: int) -> FrozenDict:
    """Give *payload* as one that weighs so much more."""
    result = FrozenDict(payload)
    result.weight = getattr(payload, "weight", 0) + weight
    result.cuts = getattr(payload, "cuts", 0)
    return result
