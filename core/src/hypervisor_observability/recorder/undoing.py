"""Call the undos of a saga's steps, newest first, whatever they raise.

An undo that raises is recorded as a compensation that failed; the next ones are called. It never
takes the place of the exception on account of which they are called.
"""

import inspect
import sys
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any

from ..threads.interruptions import is_from_handler
from .compensation import open_compensation
from .saga_outcome import Undoable
from .saga_place import SagaPlace
from .unended import is_future


def undo_all(saga: SagaPlace) -> list[BaseException]:
    """Undo what is to be undone, and what is committed meanwhile; give what interrupted undos."""
    interruptions: list[BaseException] = []
    while (step := saga.outcome.next_undo()) is not None:
        try:
            interruptions += undo(saga, step)
        except BaseException as error:  # noqa: BLE001 - what came while an undo was recorded
            interruptions.append(error)
    return interruptions


async def undo_all_async(saga: SagaPlace) -> list[BaseException]:
    """Do as ``undo_all``, and wait for undos that are asynchronous."""
    interruptions: list[BaseException] = []
    while (step := saga.outcome.next_undo()) is not None:
        try:
            interruptions += await undo_async(saga, step)
        except BaseException as error:  # noqa: BLE001 - likewise
            interruptions.append(error)
    return interruptions


def undo(saga: SagaPlace, step: Undoable) -> list[BaseException]:
    """Undo one step; give what interrupted it.

    That is an exception that is no ``Exception``, or that a signal handler raised.
    """
    with _recording(saga, step) as interruptions:
        returned = step.undo()
        _refuse_generator(returned)
        if isinstance(returned, Future):
            returned.result()
        elif inspect.isawaitable(returned):
            if inspect.iscoroutine(returned):
                returned.close()  # or it warns that nobody awaited it
            raise TypeError("an asynchronous undo needs a saga entered by 'async with'")
    return interruptions


async def undo_async(saga: SagaPlace, step: Undoable) -> list[BaseException]:
    """Do as ``undo`` for a step of a saga whose undos may be asynchronous.

    Returns:
        What interrupted it: ``CancelledError`` only where the running task was cancelled, rather
        than something that it waited for.
    """
    cancellations = _cancellations()
    with _recording(saga, step) as interruptions:
        returned: Any = step.undo()
        _refuse_generator(returned)
        if inspect.isawaitable(returned):
            await returned
        elif is_future(returned):
            from asyncio import wrap_future

            await wrap_future(returned)
    if _cancellations() > cancellations:
        return interruptions
    return [error for error in interruptions if not is_cancellation(error)]


def is_cancellation(error: BaseException | None) -> bool:
    """Tell whether *error* is the cancellation of a task of asyncio."""
    asyncio = sys.modules.get("asyncio")
    return asyncio is not None and isinstance(error, asyncio.CancelledError)


@contextmanager
def _recording(saga: SagaPlace, step: Undoable) -> Iterator[list[BaseException]]:
    """Record what is done in the block as the undo of *step*, and keep what it raises.

    Gives a list, to which what interrupted it is added at its end.
    """
    action, step_id = f"undo-{step.action}", f"undo-{step.step_id}"
    compensation = open_compensation(saga, action, step_id, step.step_id, step)
    interruptions: list[BaseException] = []
    try:
        yield interruptions
    except BaseException as error:  # noqa: BLE001 - it is recorded, and the other undos must run
        compensation.end(error)
        saga.writer.undo_failed(step.action, error)
        if not isinstance(error, Exception) or is_from_handler(error):
            interruptions.append(error)
    else:
        compensation.end(None)


def _refuse_generator(returned: object) -> None:
    generator = inspect.isgenerator(returned) and not inspect.isawaitable(returned)
    if generator or inspect.isasyncgen(returned):
        raise TypeError("the undo gave a generator, which does nothing until it is read")


def _cancellations() -> int:
    """Tell how often the running task of asyncio was asked to end; 0 outside of any."""
    asyncio = sys.modules.get("asyncio")
    if asyncio is None:
        return 0
    try:
        task = asyncio.current_task()
    except RuntimeError:  # no event loop of asyncio runs here
        return 0
    return 0 if task is None else task.cancelling()
