"""Work for one at a time, which ends when nobody waits for it: viewers reload, and give up."""

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import TypeVar

from hypervisor_observability.serving.ending import Ending
from hypervisor_observability.serving.pages import Refused

_LOOK_SECONDS = 0.1

T = TypeVar("T")


@contextmanager
def turn(lock: threading.Lock, ending: Ending) -> Iterator[None]:
    """Hold *lock*.

    Raises:
        Refused: Another holds it, and nobody waits for the answer any longer.
    """
    while not lock.acquire(timeout=_LOOK_SECONDS):
        _check(ending)
    try:
        yield
    finally:
        lock.release()


def while_awaited(values: Iterable[T], ending: Ending) -> Iterator[T]:
    """Give *values* as long as somebody waits for the answer.

    Raises:
        Refused: Nobody does any longer.
    """
    for value in values:
        _check(ending)
        yield value


def _check(ending: Ending) -> None:
    if ending.is_set():
        raise Refused(HTTPStatus.SERVICE_UNAVAILABLE, ending.why)
