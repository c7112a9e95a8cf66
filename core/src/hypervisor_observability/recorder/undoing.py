"""Call the undos of a saga's steps, newest first, whatever they raise.

An undo that raises is recorded as a compensation that failed; the next ones are called. It never
takes the place of the exception on account of which they are called.
"""

import inspect
import sys
from concurrent.futures import Future
from typing import Any

from ..threads.interruptions import is_from_handler
from .compensation import Compensation, open_compensation
from .opened import Opened
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


def undo(saga: SagaPlace, step: Undoable) -> list[BaseException]:
    """Undo one step; give what interrupted it.

    That is an exception that is no ``Exception``, or that a signal handler raised.
    """
    compensation = _open(saga, step)
    try:
        returned = step.undo()
        _refuse_generator(returned)
        if isinstance(returned, Future):
            returned.result()
        elif inspect.isawaitable(returned):
            if inspect.iscoroutine(returned):
                returned.close()  # or it warns that nobody awaited it
            raise TypeError("an asynchronous undo needs a saga entered by 'async with'")
    except BaseException as error:  # noqa: BLE001 - it is recorded, and the other undos must run
        return _failed(saga, step, compensation, error)
    compensation.end(None)
    return []


async def undo_all_async(saga: SagaPlace) -> list[BaseException]:
    """Do as ``undo_all``, and wait for undos that are asynchronous.

    Returns:
        What interrupted undos; of those with ``CancelledError`` only where the running task was
        cancelled, rather than something that it waited for.
    """
    interruptions: list[BaseException] = []
    while (step := saga.outcome.next_undo()) is not None:
        try:
            interruptions += await undo_async(saga, step)
        except BaseException as error:  # noqa: BLE001 - likewise
            interruptions.append(error)
    return interruptions


async def undo_async(saga: SagaPlace, step: Undoable) -> list[BaseException]:
    """Do as ``undo`` for a step of a saga whose undos may be asynchronous."""
    cancellations = _cancellations()
    compensation = _open(saga, step)
    try:
        returned: Any = step.undo()
        _refuse_generator(returned)
        if inspect.isawaitable(returned):
            await returned
        elif is_future(returned):
            from asyncio import wrap_future

            await wrap_future(returned)
    except BaseException as error:  # noqa: BLE001 - it is recorded, and the other undos must run
        interrupted = _failed(saga, step, compensation, error)
        if is_cancellation(error) and _cancellations() <= cancellations:
            return []
        return interrupted
    compensation.end(None)
    return []


def is_cancellation(error: BaseException | None) -> bool:
    """Tell whether *error* is the cancellation of a task of asyncio."""
    asyncio = sys.modules.get("asyncio")
    return asyncio is not None and isinstance(error, asyncio.CancelledError)


def _open(saga: SagaPlace, step: Undoable) -> Opened[Compensation]:
    action, step_id = f"undo-{step.action}", f"undo-{step.step_id}"
    return open_compensation(saga, action, step_id, step.step_id, step)


def _failed(
    saga: SagaPlace, step: Undoable, compensation: Opened[Compensation], error: BaseException
) -> list[BaseException]:
    compensation.end(error)
    saga.writer.undo_failed(step.action, error)
    return [] if isinstance(error, Exception) and not is_from_handler(error) else [error]


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
