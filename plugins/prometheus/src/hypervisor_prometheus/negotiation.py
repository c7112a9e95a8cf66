"""Which format a client gets: content negotiation by RFC 9110, sections 5.6.6 and 12.4 to 12.5.

Parameters may be quoted, weights count, the more particular of two ranges holds, and what makes
no sense is passed over.
"""

import re
from collections.abc import Iterator, Mapping

from attrs import frozen

OPENMETRICS = "application/openmetrics-text"
TEXT = "text/plain"
DEFAULT = f"{TEXT}; version=0.0.4"
"""Taken for a client that names nothing, or nothing that there is."""

_WEIGHT = re.compile(r"[01]?(?:\.[0-9]*)?", re.ASCII)
_ESCAPINGS = frozenset({"allow-utf-8", "underscores", "dots", "values"})


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


@frozen
class _Offer:
    media_type: str
    version: str

    def specificity_in(self, asked: Element) -> int:
        """Tell how particularly *asked* names this; 0: not at all, below 3 by a wildcard."""
        if asked.name == self.media_type:
            version = asked.parameters.get("version")
            if version is None:
                # The older text stands for text without a version, as it always did.
                return 3 if self in _UNVERSIONED else 0
            return 4 if version == self.version else 0
        if asked.name == f"{self.media_type.partition('/')[0]}/*":
            return 2
        return 1 if asked.name == "*/*" else 0


_OPENMETRICS_1, _TEXT_1, _TEXT_0 = (
    _Offer(OPENMETRICS, "1.0.0"),
    _Offer(TEXT, "1.0.0"),
    _Offer(TEXT, "0.0.4"),
)
_UNVERSIONED = (_OPENMETRICS_1, _TEXT_0)
# Which of them is given to those who take several equally: by name, and by a wildcard.
_BY_NAME = (_OPENMETRICS_1, _TEXT_1, _TEXT_0)
_BY_WILDCARD = (_TEXT_0, _OPENMETRICS_1, _TEXT_1)


def chosen_format(accept: str) -> str:
    """Choose a format, and name it as the one that prometheus_client is asked for.

    Args:
        accept: The header ``Accept``; several of them joined by commas.
    """
    asked = list(elements(accept))
    best: tuple[tuple[float, bool, int], str] | None = None
    for offer in _BY_NAME:
        matches = [(offer.specificity_in(one), one) for one in asked]
        specificity, element = max(matches, key=lambda match: match[0], default=(0, None))
        if element is None or not specificity or not element.weight:
            continue
        named = specificity > 2
        order = _BY_NAME if named else _BY_WILDCARD
        rank = (element.weight, named, -order.index(offer))
        if best is None or rank > best[0]:
            best = rank, _name(offer, element)
    return DEFAULT if best is None else best[1]


def _name(offer: _Offer, element: Element) -> str:
    if offer is _TEXT_0:
        return DEFAULT
    if "version" not in element.parameters:
        return offer.media_type if offer is _OPENMETRICS_1 else f"{TEXT}; version={offer.version}"
    escaping = element.parameters.get("escaping", "").lower()
    known = f"; escaping={escaping}" if escaping in _ESCAPINGS else ""
    return f"{offer.media_type}; version={offer.version}{known}"


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
