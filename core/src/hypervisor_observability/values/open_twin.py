"""Instances of frozen classes, filled fast."""

from collections.abc import Callable
from typing import Any


def open_twin(cls: type) -> Callable[[], Any]:
    """Make what gives empty instances of a frozen class with slots, to be assigned to.

    A generated ``__init__`` of such a class passes its ``__setattr__`` by a call for each field,
    which takes ten times as long as an assignment. Fill in all fields, then close the instance
    for ever: ``draft.__class__ = cls``. Nobody else may have it before.

    Args:
        cls: A class of attrs whose slots hold what they are given.
    """
    # Both, since the interpreter has one place for them: else each assignment is a look-up.
    opened = {"__setattr__": object.__setattr__, "__delattr__": object.__delattr__}
    return type(
        f"{cls.__name__}Draft", (cls,), {"__slots__": (), "__init__": object.__init__, **opened}
    )
