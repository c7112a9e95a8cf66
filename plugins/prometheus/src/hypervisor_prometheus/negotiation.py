"""Which format a scrape gets: content negotiation by RFC 9110, section 12.5.1.

The more particular of two ranges holds.
"""

from attrs import frozen

from hypervisor_observability.serving.header_lists import Element, elements

OPENMETRICS = "application/openmetrics-text"
TEXT = "text/plain"
DEFAULT = f"{TEXT}; version=0.0.4"
"""Taken for a client that names nothing, or nothing that there is."""

_ESCAPINGS = frozenset({"allow-utf-8", "underscores", "dots", "values"})


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
