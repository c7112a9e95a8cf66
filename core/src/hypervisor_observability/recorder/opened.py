"""A piece of work that is being recorded, and how its end is."""

from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from attrs import define

from ..causality.standing import Standing, leave
from .event_writer import EventWriter
from .failure import unless_left

T = TypeVar("T")


@define(eq=False)
class Opened(Generic[T]):
    """A scope that was entered.

    Attributes:
        subject: What ``as`` gives.
        inside: Where the code in it stands.
        writer: Logs a fault of ending it.
        close: Records its end; it is given the exception that ended it, or None.
        close_async: The same for ``async with``; None: as ``close``.
        on_value: Called when a generator in it gives its first value; None: nothing is.
    """

    subject: T
    inside: Standing
    writer: EventWriter
    close: Callable[[BaseException | None], None]
    close_async: Callable[[BaseException | None], Awaitable[None]] | None = None
    on_value: Callable[[], None] | None = None

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

    def end_read(self, error: BaseException | None) -> None:
        """Do as ``end`` for a generator, whose reader may have had enough of it."""
        self.end(unless_left(error))

    async def end_read_async(self, error: BaseException | None) -> None:
        """Do as ``end_async`` for an asynchronous one."""
        await self.end_async(unless_left(error))
