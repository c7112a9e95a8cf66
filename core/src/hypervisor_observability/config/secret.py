"""A text that is not shown: tokens and passwords of a configuration."""

import hmac
from typing import NoReturn, final

_MASK = "***"


@final
class Secret:
    """Hold a text that ``repr``, ``str``, ``format``, ``json`` and ``pickle`` do not give away.

    A field of this type in a plugin's ``Config`` is filled from a string. Only
    :meth:`reveal` gives the text back; call it where the text is sent, and keep no copy.
    """

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        if not isinstance(text, str):
            # The value is not shown: it may be the secret in another type.
            msg = f"a Secret holds a string, not {type(text).__name__}"  # type: ignore[unreachable] # for callers without types
            raise TypeError(msg)
        self._text = text

    def reveal(self) -> str:
        """Give the text."""
        return self._text

    def __repr__(self) -> str:
        return f"Secret('{_MASK}')"

    def __str__(self) -> str:
        return _MASK

    def __format__(self, spec: str) -> str:
        # The specification is obeyed on the mask: "{:>10}" must not fail in a log line.
        return format(_MASK, spec)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(self._text.encode(), other._text.encode())

    def __hash__(self) -> int:
        return hash((Secret, self._text))

    def __bool__(self) -> bool:
        return bool(self._text)

    def __copy__(self) -> "Secret":
        return self

    def __deepcopy__(self, memo: object) -> "Secret":
        return self

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        msg = "a Secret is never pickled"
        raise TypeError(msg)
