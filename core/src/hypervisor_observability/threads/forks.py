"""Things that begin anew in the child of a fork."""

import os
import weakref
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Forked(Generic[T]):
    """What a process has of a kind, as long as somebody else holds it.

    In the child of a fork, kinds begin anew in the order in which they were made: that in which
    their modules were imported.

    Args:
        begin_anew: Called for each of them in the child. Another thread may have held a lock
            that nobody in the child would ever release.
    """

    def __init__(self, begin_anew: Callable[[T], object]) -> None:
        self._begin_anew = begin_anew
        self._all: weakref.WeakSet[T] = weakref.WeakSet()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._begin_all_anew)

    def add(self, one: T) -> None:
        """Have *one* begin anew in the children of forks to come."""
        self._all.add(one)

    def _begin_all_anew(self) -> None:
        for one in list(self._all):
            self._begin_anew(one)
