"""What others wrote, as a problem shows it: on one line, harmless for a terminal, and cut."""

from ..text.terminal_text import escape

MAX_SHOWN = 40
"""Most characters of a value in a message."""
MAX_REASON = 200
"""Most characters of a path, or of what other code says is wrong."""


def harmless(text: str, most: int = MAX_REASON) -> str:
    """Give *text* on one line, with nothing that commands a terminal, cut to *most* characters."""
    # Line feeds and the like as Python writes them; and what no terminal shows.
    return cut(escape("".join(map(_printable, text[: most + 1]))), most)


def cut(text: str, most: int = MAX_SHOWN) -> str:
    """Cut *text* to *most* characters, ending in three dots if anything was cut off."""
    return text if len(text) <= most else f"{text[: most - 3]}..."


def _printable(character: str) -> str:
    return character if character.isprintable() else repr(character)[1:-1]
