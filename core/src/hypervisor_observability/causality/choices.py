"""What callers choose from: how far a peer is trusted, and how wide ids are drawn."""

from typing import Final, Literal, get_args

Accept = Literal["link", "continue", "restart"]
"""How far the peer is trusted that a carrier comes from: see ``propagation``."""

IdWidth = Literal["short", "w3c"]
"""How wide ids are drawn: 12 and 8 digits, or 32 and 16."""

_ACCEPT: Final = get_args(Accept)
_ID_WIDTHS: Final = get_args(IdWidth)


def check_accept(accept: object) -> None:
    """Check a rule of trust.

    Raises:
        ValueError: *accept* is none of the three.
    """
    if accept not in _ACCEPT:
        raise ValueError(f"accept: expected 'link', 'continue' or 'restart', got {accept!r}")


def check_id_width(id_width: object) -> None:
    """Check a width.

    Raises:
        ValueError: *id_width* is none of the two.
    """
    if id_width not in _ID_WIDTHS:
        raise ValueError(f"id_width: expected 'short' or 'w3c', got {id_width!r}")
