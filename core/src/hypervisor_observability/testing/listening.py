"""What is logged and warned while a plugin works."""

import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from attrs import define, field


@define(eq=False)
class Heard:
    """What was said.

    Attributes:
        texts: Where, and what.
        tracebacks: The log lines that came with one, as warnings or worse.
    """

    texts: list[tuple[str, str]] = field(factory=list)
    tracebacks: list[str] = field(factory=list)

    def take(self, where: str, say: Callable[[], str]) -> None:
        """Keep what *say* gives."""
        try:
            self.texts.append((where, say()))
        except Exception as error:  # noqa: BLE001 - a repr of an author may raise anything
            self.texts.append((where, str(error)))


@contextmanager
def listening() -> Iterator[Heard]:
    """Hear all that is logged, at every level, and all warnings."""
    heard = Heard()
    handler = _Handler(heard)
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    try:
        with warnings.catch_warnings(record=True) as warned:
            yield heard
        for warning in warned:
            heard.texts.append(("a warning", str(warning.message)))
    finally:
        root.setLevel(level)
        root.removeHandler(handler)


class _Handler(logging.Handler):
    def __init__(self, heard: Heard) -> None:
        super().__init__(logging.DEBUG)
        self._heard = heard

    def emit(self, record: logging.LogRecord) -> None:
        self._heard.texts.append((f"a log line of {record.name}", self.format(record)))
        if record.exc_info and record.levelno >= logging.WARNING:
            self._heard.tracebacks.append(record.getMessage())
