"""The context manager behind all of the recorder's: for ``with`` and for ``async with``."""

import sys
from collections.abc import Awaitable, Callable
from typing import Any, Generic, NamedTuple, TypeVar

from ..causality.standing import Entry, Standing, leave, note_entry, take_entry
from .decoration import decorate
from .event_writer import EventWriter
from .failure import unless_left

T = TypeVar("T")
FunctionT = TypeVar("FunctionT", bound="Callable[..., Any] | classmethod[Any, ..., Any]")


class Opened(NamedTuple, Generic[T]):
    """A scope that was entered.

    Attributes:
        subject: What ``as`` gives.
        inside: Where the code in it stands.
        writer: Logs a fault of ending it.
        close: Records its end; it is given the exception that ended it, or None.
        close_async: The same for ``async with``; None: as ``close``.
    """

    subject: T
    inside: Standing
    writer: EventWriter
    close: Callable[[BaseException | None], None]
    close_async: Callable[[BaseException | None], Awaitable[None]] | None = None

    def end(self, error: BaseException | None) -> None:
        """Leave the scope and record its end. No fault of doing so is raised."""
        leave(self.inside)
        try:
            self.close(error)
        except Exception as fault:  # noqa: BLE001 - it would replace the block's own exception
            self.writer.end_failed(fault)

    async def end_async(self, error: BaseException | None) -> None:
        """Do as ``end``, and wait for what is asynchronous in it."""
        if self.close_async is None:
            self.end(error)
            return
        leave(self.inside)
        try:
            await self.close_async(error)
        except Exception as fault:  # noqa: BLE001 - likewise
            self.writer.end_failed(fault)


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
