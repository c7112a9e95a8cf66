"""Log messages at a limited rate, so that a fault in a loop does not fill the disk.

What is logged may hold what a stranger wrote: an answer, a payload, a request. Nothing of it
commands the terminal of who reads the log.
"""

import time

from ..threads.interruptions import is_from_handler

_MAX_KEYS = 1_000


class LimitedLog:
    """Write each kind of message at most once an interval, telling how many were left out.

    Args:
        logger_name: Of the logger that gets the messages.
        interval_seconds: Least time between two messages of one kind.
    """

    def __init__(self, logger_name: str, *, interval_seconds: float = 10.0) -> None:
        self._logger_name = logger_name
        self._interval_seconds = interval_seconds
        self._last: dict[str, float] = {}
        self._left_out: dict[str, int] = {}

    def warning(
        self, kind: str, message: str, *args: object, error: BaseException | None = None
    ) -> None:
        """Log *message* unless one of the same *kind* was logged a moment ago."""
        now = time.monotonic()
        last = self._last.get(kind)
        if last is not None and now - last < self._interval_seconds:
            self._left_out[kind] = self._left_out.get(kind, 0) + 1
            return
        if len(self._last) >= _MAX_KEYS:
            self._last.clear()
            self._left_out.clear()
        self._last[kind] = now
        left_out = self._left_out.pop(kind, 0)
        if left_out:
            message += f" ({left_out} more like this since the last message)"
        if not say(self._logger_name, "warning", message, *map(_harmless, args), error=error):
            self._left_out[kind] = self._left_out.get(kind, 0) + 1 + left_out


def say(
    logger_name: str, level: str, message: str, *args: object, error: BaseException | None = None
) -> bool:
    """Log *message*, and never raise on account of a log handler.

    Args:
        logger_name: Of the logger that gets it.
        level: Name of the logger's method.
        message: As that takes it.
        args: Likewise.
        error: Whose traceback is logged too.

    Returns:
        Whether every handler took it.
    """
    try:
        # Most processes never get here, and the bus is to be imported quickly.
        from logging import getLogger

        getattr(getLogger(logger_name), level)(message, *args, exc_info=error)
    except Exception as fault:  # a log handler's
        if is_from_handler(fault):
            raise
        return False
    return True


def _harmless(value: object) -> object:
    if not isinstance(value, (str, BaseException)):
        return value
    from .terminal_text import escape

    return "\n".join(map(escape, str(value).split("\n")))
