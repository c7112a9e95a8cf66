"""The context manager behind all of the recorder's: for ``with`` and for ``async with``."""

from collections.abc import Awaitable, Callable
from typing import Any, Generic, NamedTuple, TypeVar

from .decoration import decorate

T = TypeVar("T")
FunctionT = TypeVar("FunctionT", bound=Callable[..., Any])


class Opened(NamedTuple, Generic[T]):
    """A scope that was entered.

    Attributes:
        subject: What ``as`` gives.
        close: Ends the scope; it is given the exception that ends it, or None.
        close_async: The same for ``async with``; None: as ``close``.
    """

    subject: T
    close: Callable[[BaseException | None], None]
    close_async: Callable[[BaseException | None], Awaitable[None]] | None = None


class Scope(Generic[T]):
    """A piece of work that is recorded from entry to exit; exceptions pass through it.

    One object may be entered again: every entry is a piece of work of its own. As a decorator
    it records every call of a function, be that a coroutine function or a generator.
    """

    def __init__(self, open_: Callable[[], Opened[T]]) -> None:
        self._open = open_
        self._entered: list[Opened[T]] = []

    def __call__(self, function: FunctionT) -> FunctionT:
        """Record every call of *function*, which stays what it was."""
        # Calls overlap, over threads and tasks: each has a scope of its own.
        return decorate(lambda: Scope(self._open), function)

    def __enter__(self) -> T:
        opened = self._open()
        self._entered.append(opened)
        return opened.subject

    def __exit__(self, _kind: object, error: BaseException | None, _traceback: object) -> None:
        self._entered.pop().close(error)

    async def __aenter__(self) -> T:
        return self.__enter__()

    async def __aexit__(
        self, _kind: object, error: BaseException | None, _traceback: object
    ) -> None:
        opened = self._entered.pop()
        if opened.close_async is None:
            opened.close(error)
        else:
            await opened.close_async(error)
