"""What may come between any two steps: a signal handler, a finaliser, and what they raise.

Python calls a signal handler in the main thread between two of its instructions, and a finaliser
wherever an object goes. Either may emit an event in the middle of another emit; a handler may
raise, which then looks as if the interrupted line had raised.

Two rules follow for whatever runs inside ``emit``:

* Shared state is published by one store. What is not published is done again by whoever comes
  next; no step relies on a ``finally`` that an exception may skip.
* An exception that a signal handler raised belongs to the application. ``except Exception``
  hands it on: it first asks ``is_from_handler``. So does ``except OSError``, because the
  ``TimeoutError`` of an alarm is one. Where code of a plugin is called, ``except BaseException``
  asks ``is_of_application``: a plugin may raise anything, ``SystemExit`` and the panic of an
  extension included.
"""

import sys
from collections.abc import Container
from types import CodeType, FrameType
from typing import Any


def is_at_work(codes: Container[CodeType], owner: object, *, outside: int) -> bool:
    """Tell whether the caller interrupts a method of *owner* in its own thread.

    Args:
        codes: The code of the methods. Each calls its object ``self``.
        owner: The object.
        outside: How many callers are left out: 1 for the function that asks alone.
    """
    # Whoever asks may have no caller: the interpreter itself, at its end.
    frame: FrameType | None = sys._getframe(outside).f_back
    while frame is not None:
        if frame.f_code in codes and frame.f_locals.get("self") is owner:
            return True
        frame = frame.f_back
    return False


class PassedOn:
    """Marks an exception that observing code raises because its user has asked for that."""


def is_from_handler(error: BaseException) -> bool:
    """Tell whether a signal handler raised *error*, or what it called; or it is ``PassedOn``.

    The interpreter hands a handler the frame that it interrupts; nothing else does.
    """
    if isinstance(error, PassedOn):
        return True
    step = error.__traceback__
    while step is not None and step.tb_next is not None:
        interrupted, step = step.tb_frame, step.tb_next
        if step.tb_frame.f_back is interrupted and _got(step.tb_frame, interrupted):
            return True
    return False


def is_of_application(error: BaseException) -> bool:
    """Tell whether *error*, which came out of a plugin's code, is for the application all the same:
    Ctrl-C, and what else a signal handler raised.
    """
    return isinstance(error, KeyboardInterrupt) or is_from_handler(error)


class ignoring:  # noqa: N801 - as contextlib.suppress, whose place it takes
    """Pass over exceptions of some types, but for those that a signal handler raised.

    ``TimeoutError``, which alarms raise, is an ``OSError``.
    """

    def __init__(self, *types: type[BaseException]) -> None:
        self._types = types

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> bool:
        return isinstance(error, self._types) and not is_from_handler(error)


def free(lock: Any) -> None:
    """Release a re-entrant lock that an exception may have left with this thread.

    Args:
        lock: A ``threading.RLock``. No frame of this thread is at work under it.
    """
    if lock._is_owned():
        lock._release_save()


def _got(frame: FrameType, interrupted: FrameType) -> bool:
    code = frame.f_code
    takes_rest = bool(code.co_flags & 0x04)  # inspect.CO_VARARGS
    count = code.co_argcount + code.co_kwonlyargcount + takes_rest
    for name in code.co_varnames[:count]:
        value = frame.f_locals.get(name)
        if value is interrupted or (type(value) is tuple and interrupted in value):
            return True
    return False
