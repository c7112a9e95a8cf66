"""The exceptions of the package, all in one place.

::

    ObservabilityError
      ConfigError              the configuration is wrong; raised before anything starts
      RetryLater               raised by a plugin: offer the same batch again
      Reject                   raised by a plugin: this batch will never be accepted
      SettingError             raised by a plugin: a value of its table cannot be used
      StreamUnavailableError   raised by a stream: it cannot be read at present, wait
      NoHistoryError           raised by a store that is asked: nothing was recorded yet
      StoreInUseError          raised by a store: another agent reads it already
      FilterError              a filter's text cannot be read
      AmbiguousIdError         several ids begin as the one that was asked for

    StrictWarning              warned of in strict mode; raised only where a filter has it raised

After a start nothing that a plugin does reaches the application, so these are all.
"""

from collections.abc import Iterable

from attrs import frozen

from .text.error_text import reason_of
from .text.terminal_text import escape
from .threads.interruptions import PassedOn


class ObservabilityError(Exception):
    """The base of every exception that this package raises on purpose."""


@frozen
class ConfigProblem:
    """One thing that is wrong in a configuration.

    Attributes:
        source: Where the configuration comes from: a file's name, or ``Config(...)``.
        line: Line in the file, counted from 1; None where there is no file.
        key: Dotted path of the key, such as ``plugins.statsd.port``; may be empty.
        message: What is wrong, and what would be right.
    """

    source: str
    line: int | None
    key: str
    message: str

    def __str__(self) -> str:
        """Give one line, without anything that could command a terminal."""
        where = self.source if self.line is None else f"{self.source}:{self.line}"
        return escape(": ".join(part for part in (where, self.key, self.message) if part))


class ConfigError(ObservabilityError):
    """The configuration cannot be used. The error lists all its problems.

    Attributes:
        problems: What is wrong, file by file, each in its order.
    """

    def __init__(self, problems: Iterable[ConfigProblem]) -> None:
        found = tuple(problems)
        sources = list(dict.fromkeys(problem.source for problem in found))
        place = {source: number for number, source in enumerate(sources)}
        self.problems = tuple(sorted(found, key=lambda one: (place[one.source], one.line or 0)))
        super().__init__(self.problems)

    def __str__(self) -> str:
        if len(self.problems) == 1:
            return str(self.problems[0])
        sources = escape(", ".join(dict.fromkeys(problem.source for problem in self.problems)))
        lines = [f"{sources}: {len(self.problems)} problems"]
        lines.extend(f"  {problem}" for problem in self.problems)
        return "\n".join(lines)


class RetryLater(ObservabilityError):  # noqa: N818 - a request, named for what it asks
    """Ask to be offered the same batch again.

    Attributes:
        after: Seconds that the backend asked to wait (``Retry-After``); None where it did
            not say.
    """

    def __init__(self, reason: str = "", *, after: float | None = None) -> None:
        self.after = after
        super().__init__(reason)


class Reject(ObservabilityError):  # noqa: N818 - a verdict, named for what it says
    """Say that the backend will never accept this batch: it is counted as rejected."""


class SettingError(ObservabilityError, ValueError):
    """A value of a plugin's table cannot be used, which only the plugin itself can tell.

    Attributes:
        key: Of the value, in the plugin's table.
        reason: What is wrong, and what would be right.
    """

    def __init__(self, key: str, reason: str) -> None:
        self.key, self.reason = key, reason
        super().__init__(f"{key}: {reason}")


class NoHistoryError(ObservabilityError):
    """A store that is asked for its history has none; the text says where it was looked for."""


class StoreInUseError(ObservabilityError):
    """Another agent reads the store: it would deliver everything too."""


class FilterError(ObservabilityError, ValueError):
    """The text of a filter cannot be read; the error says what is wrong, and what is right."""


class AmbiguousIdError(ObservabilityError, ValueError):
    """Several ids begin as the one that was asked for; the text lists them."""


class StreamUnavailableError(ObservabilityError):
    """A stream cannot be read at present. Nothing is lost and nothing has changed: wait, and try
    again.

    Attributes:
        what: What could not be read: a file's name, a server's.
        reason: Why not.
    """

    def __init__(self, what: object, reason: BaseException | str) -> None:
        self.what = str(what)
        self.reason = reason if isinstance(reason, str) else reason_of(reason)
        super().__init__(f"{self.what}: {self.reason}")


class StrictWarning(PassedOn, UserWarning):
    """Strict mode has found something, at the place that the warning names.

    Where a filter turns it into an error, it is raised there, out of ``emit`` too.
    """
