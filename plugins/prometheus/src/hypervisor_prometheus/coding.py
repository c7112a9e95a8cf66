"""Compression of an answer, where the client takes it."""

import gzip


def takes_gzip(accept_encoding: str) -> bool:
    """Tell whether the header names gzip, and not with the weight 0 (RFC 9110, 12.5.3)."""
    for part in accept_encoding.split(","):
        coding, _, weight = part.partition(";")
        if coding.strip().lower() == "gzip":
            return weight.replace(" ", "").rstrip("0") not in {"q=", "q=0."}
    return False


def compressed(body: bytes) -> bytes:
    """Give *body* as gzip, the same bytes for the same body."""
    return gzip.compress(body, compresslevel=1, mtime=0)
