"""The context manager behind all of the recorder's: for ``with`` and for ``async with``."""

import sys
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from ..causality.standing import Entry, note_entry, take_entry
from .decoration import decorate
from .failure import unless_left
from .opened import Opened

T = TypeVar("T")
FunctionT = TypeVar("FunctionT", bound="Callable[..., Any] | classmethod[Any, ..., Any]")


class Scope(Generic[T]):
    """A piece of work that is recorded from entry to exit; exceptions pass through it.

    One object may be entered again, and by several tasks and threads at once: every entry is a
    piece of work of its own. As a decorator it records every call of a function, be that a
    coroutine function or a generator.
    """

    def __init__(self, open_: Callable[[], Opened[T]]) -> None:
        self._open = open_
        self._entries: list[Entry[Opened[T]]] = []

    def __call__(self, function: FunctionT) -> FunctionT:
        """Record every call of *function*, which stays what it was.

        Raises:
            TypeError: *function* cannot be called.
        """
        return decorate(self._open, function)

    def __enter__(self) -> T:
        opened = self._open()
        note_entry(self._entries, sys._getframe(1), opened.inside, opened)
        return opened.subject

    def __exit__(self, _kind: object, error: BaseException | None, _traceback: object) -> None:
        caller = sys._getframe(1)
        opened = take_entry(self._entries, caller)
        if opened is not None:
            opened.end(error if error is None else unless_left(error, caller))

    async def __aenter__(self) -> T:
        opened = self._open()
        note_entry(self._entries, sys._getframe(1), opened.inside, opened)
        return opened.subject

    async def __aexit__(
        self, _kind: object, error: BaseException | None, _traceback: object
    ) -> None:
        caller = sys._getframe(1)
        opened = take_entry(self._entries, caller)
        if opened is not None:
            await opened.end_async(error if error is None else unless_left(error, caller))


class WatchedScope(Scope[T]):
    """A scope of which it is reported that nobody has entered it.

    Args:
        open_: As of ``Scope``.
        forgotten: Called when it goes without having been entered.
    """

    _forgotten: Callable[[], object] | None = None

    def __init__(self, open_: Callable[[], Opened[T]], forgotten: Callable[[], object]) -> None:
        super().__init__(open_)
        self._forgotten = forgotten

    def __call__(self, function: FunctionT) -> FunctionT:
        """Do as ``Scope`` does: a decorator is entered with each call."""
        self._forgotten = None
        return super().__call__(function)

    def __enter__(self) -> T:
        self._forgotten = None
        opened = self._open()
        note_entry(self._entries, sys._getframe(1), opened.inside, opened)
        return opened.subject

    async def __aenter__(self) -> T:
        self._forgotten = None
        opened = self._open()
        note_entry(self._entries, sys._getframe(1), opened.inside, opened)
        return opened.subject

    def __del__(self) -> None:
        if self._forgotten is not None:
            self._forgotten()
