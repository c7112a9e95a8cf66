"""Texts of an answer, each written once and bounded in all."""

from attrs import define, field

MOST_CHARACTERS = 500
"""Most characters of one text; a name that is longer can be read in the events."""
_MOST_BYTES = 3 << 20
_LEFT_OUT = "…"


@define(eq=False)
class Texts:
    """A table of texts that columns name by their numbers; the empty text is number 0.

    Attributes:
        left_out: How many texts found no room; an ellipsis stands for each.
    """

    left_out: int = 0
    _numbers: dict[str, int] = field(factory=lambda: {"": 0, _LEFT_OUT: 1}, init=False)
    _bytes: int = field(default=0, init=False)

    def number(self, text: str) -> int:
        """Give the number of *text*, cut to ``MOST_CHARACTERS``."""
        if len(text) > MOST_CHARACTERS:
            text = text[: MOST_CHARACTERS - 1] + _LEFT_OUT
        found = self._numbers.get(text)
        if found is not None:
            return found
        # As JSON in ASCII writes it, a character outside ASCII takes up to 12 bytes.
        size = len(text) + 3 if text.isascii() and text.isprintable() else 12 * len(text) + 3
        if self._bytes + size > _MOST_BYTES:
            self.left_out += 1
            return self._numbers[_LEFT_OUT]
        self._bytes += size
        return self._numbers.setdefault(text, len(self._numbers))

    def all(self) -> list[str]:
        """Give the texts, each at the place that its number says."""
        return list(self._numbers)
