"""How a run went for whoever started it: what it gave, or what it raised."""

import traceback
from collections.abc import Callable

from attrs import frozen

from ..text.error_text import line_of


@frozen
class Outcome:
    """How a run went.

    Attributes:
        answer: What it gave; of a stream the list of what was streamed.
        error: What it raised.
    """

    answer: object = None
    error: BaseException | None = None

    @classmethod
    def of(cls, call: Callable[[], object]) -> "Outcome":
        """Call, and tell how that went. Ctrl-C and the like pass."""
        from asyncio import CancelledError

        try:
            return cls(call())
        except (Exception, CancelledError) as error:  # noqa: BLE001 - the framework's, to be compared
            return cls(error=error)

    def check_like(self, plain: "Outcome", *, exactly: bool, when: str) -> None:
        """Check that it is what the application has got without the source.

        Args:
            plain: That.
            exactly: Whether two runs without the source give equal answers.
            when: What was done, for the message.

        Raises:
            AssertionError: It is not.
        """
        told = f"{when}: without the source the application gets {plain}, with it {self}"
        assert (self.error is None) == (plain.error is None), told
        assert _types(self.answer) == _types(plain.answer), told
        if exactly:
            assert self.answer == plain.answer, told
        assert _chain(self.error) == _chain(plain.error), (
            f"{told}: exceptions, and what they came of, stay as they are"
        )
        if self.error is not None and plain.error is not None:
            lost = _lost(_frames(plain.error), _frames(self.error))
            assert not lost, f"{told}: {lost} is missing in the traceback"

    def __str__(self) -> str:
        kind = type(self.answer).__qualname__
        return f"{kind} {self.answer!r:.200}" if self.error is None else line_of(self.error)


def _types(answer: object) -> list[type]:
    if isinstance(answer, list):
        return [list, *(type(one) for one in answer)]
    return [type(answer)]


def _chain(error: BaseException | None) -> list[str]:
    """Give the lines of an error and of what it came of."""
    found: list[str] = []
    while error is not None:
        found.append(line_of(error))
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return found


def _frames(error: BaseException) -> list[str]:
    return [frame.name for frame in traceback.extract_tb(error.__traceback__)]


def _lost(plain: list[str], seen: list[str]) -> str:
    """Give the first function of a traceback that is not in the other one, in this order."""
    rest = iter(seen)
    return next((name for name in plain if name not in rest), "")
