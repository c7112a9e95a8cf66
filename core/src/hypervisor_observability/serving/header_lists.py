"""Headers that weigh alternatives: RFC 9110, sections 5.6.6 and 12.4 to 12.5.

Parameters may be quoted, weights count, and what makes no sense is passed over.
"""

import re
from collections.abc import Iterator, Mapping

from attrs import frozen

_WEIGHT = re.compile(r"[01]?(?:\.[0-9]*)?", re.ASCII)


@frozen
class Element:
    """One of the values of ``Accept`` or ``Accept-Encoding``.

    Attributes:
        name: The media range or the coding, in small letters.
        parameters: Its parameters, without the weight; their names in small letters.
        weight: From 0, not acceptable, to 1.
    """

    name: str
    parameters: Mapping[str, str]
    weight: float


def elements(header: str) -> Iterator[Element]:
    """Give the values of a header that weighs alternatives; those without sense are left out."""
    for text in _split(header, ","):
        name, *pairs = (part.strip() for part in _split(text, ";"))
        parameters = {
            key.strip().lower(): _unquoted(value.strip())
            for key, _, value in (pair.partition("=") for pair in pairs)
        }
        weight = _weight(parameters.pop("q", "1"))
        if name and weight is not None:
            yield Element(name.lower(), parameters, weight)


def _weight(text: str) -> float | None:
    if not _WEIGHT.fullmatch(text) or text in {"", "."}:
        return None
    weight = float(text)
    return weight if weight <= 1 else None


def _split(text: str, separator: str) -> Iterator[str]:
    """Split *text* where *separator* stands outside quotes; looks at each character once."""
    begun, quoted, escaped = 0, False, False
    for place, character in enumerate(text):
        if escaped:
            escaped = False
        elif quoted and character == "\\":
            escaped = True
        elif character == '"':
            quoted = not quoted
        elif character == separator and not quoted:
            yield text[begun:place]
            begun = place + 1
    yield text[begun:]


def _unquoted(text: str) -> str:
    if len(text) < 2 or text[0] != '"' or text[-1] != '"':
        return text
    return re.sub(r"\\(.)", r"\1", text[1:-1])
