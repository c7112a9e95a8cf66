"""What a store does that it should not: it is told and counted, and nobody else notices."""

from collections.abc import Callable
from typing import TypeVar

from attrs import define, field

from ..text.error_text import line_of
from ..text.limited_log import LimitedLog
from ..threads.interruptions import is_of_application

Result = TypeVar("Result")


@define(eq=False)
class StoreFaults:
    """Calls to a store whose faults stay its own.

    Attributes:
        store: Name of the store's plugin.
        count: How many calls raised.
    """

    store: str
    count: int = field(default=0, init=False)
    _limited_log: LimitedLog = field(factory=lambda: LimitedLog(__name__), init=False)

    def quietly(self, what: str, work: Callable[[], Result], otherwise: Result) -> Result:
        """Do *work*; where it raises, tell *what* that means, and give *otherwise*.

        Raises:
            BaseException: What is for the application: Ctrl-C, or from a signal handler.
        """
        try:
            return work()
        except BaseException as error:
            if is_of_application(error):
                raise
            self.note(what, error)
            return otherwise

    def note(self, what: str, error: BaseException) -> None:
        """Tell and count that the store raised *error*."""
        self.count += 1
        self.tell(what, f"{what}: {line_of(error)}", error)

    def tell(self, kind: str, text: str, error: BaseException | None = None) -> None:
        """Log what befell the store."""
        self._limited_log.warning(kind, "store %s %s", self.store, text, error=error)
