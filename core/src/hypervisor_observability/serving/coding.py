"""Compression of an answer, where the client takes it."""

import gzip

from .header_lists import elements


def takes_gzip(accept_encoding: str) -> bool:
    """Tell whether the header names gzip, and not with the weight 0 (RFC 9110, 12.5.3)."""
    weights = [one.weight for one in elements(accept_encoding) if one.name in {"gzip", "x-gzip"}]
    return bool(weights) and min(weights) > 0


def compressed(body: bytes) -> bytes:
    """Give *body* as gzip, the same bytes for the same body."""
    return gzip.compress(body, compresslevel=1, mtime=0)
