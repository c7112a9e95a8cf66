"""Baggage: what travels beside a trace id, as W3C Baggage (sections 3.2 and 3.3) writes it.

Whoever reads a header may have got it from anybody, so nothing here trusts it: what is too
long is refused whole, what is malformed is left out, and what nobody asked for is not read.
"""

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Final

from ..events import ids

SESSION_ID: Final = "session.id"
AGENT_DID: Final = "agent.did"
SAGA_ID: Final = "saga.id"
NAMES: Final = (SESSION_ID, AGENT_DID, SAGA_ID)
"""All that can travel. An agent's identifier travels as its digest: see ``digest``."""

MAX_BYTES: Final = 8192  # section 3.3.2
MAX_ENTRIES: Final = 64  # section 3.3.2: so many must be passed on
_MAX_VALUE: Final = 256
_DIGEST_DIGITS: Final = 32

_MEMBER = re.compile(
    r"([!#$%&'*+.^_`|~0-9A-Za-z-]{1,256})[ \t]*=[ \t]*"
    r"([!#-+\--:<-\[\]-~]*)[ \t]*((?:;[^,]*)?)"
).fullmatch


def digest(agent_did: object) -> str:
    """Give what stands for an agent where its identifier must not be told."""
    # Loading OpenSSL takes longer than all the rest of this module.
    from hashlib import sha256

    named = f"hv-agent\0{ids.as_text(agent_did)}".encode("utf-8", "surrogatepass")
    return sha256(named).hexdigest()[:_DIGEST_DIGITS]


def parse(text: object, names: Collection[str]) -> dict[str, str]:
    """Give the entries of a ``baggage`` under *names*. Never raises.

    Returns:
        The first of each name; nothing at all where *text* is no string or too long. Values
        that are no text, or have over 256 characters, or any that do not print, are left out.
    """
    from urllib.parse import unquote

    entries: dict[str, str] = {}
    for name, value, _ in _members(text):
        if name in names and name not in entries:
            plain = unquote(value, errors="replace")
            if 0 < len(plain) <= _MAX_VALUE and plain.isprintable() and "\ufffd" not in plain:
                entries[name] = plain
    return entries


def write(entries: Mapping[str, str], present: object = "") -> str:
    """Give a ``baggage`` of *entries*, and of those of other names in *present*.

    At most 8,192 bytes and 64 entries; ours first, then as many as there is room for. Never
    raises; what cannot be written is left out.
    """
    from urllib.parse import quote

    members = []
    for name, value in entries.items():
        text = ids.as_text(value)
        if len(text) <= _MAX_VALUE:
            members.append(f"{name}={quote(text, safe='', errors='replace')}")
    for name, value, properties in _members(present):
        if name not in entries:
            members.append(f"{name}={value}{properties}")
    text = ""
    for member in members[:MAX_ENTRIES]:
        longer = f"{text},{member}" if text else member
        if len(longer) > MAX_BYTES:
            break
        text = longer
    return text


def _members(text: object) -> Iterator[tuple[str, str, str]]:
    if not isinstance(text, str) or len(text) > MAX_BYTES or not text.isascii():
        return
    for member in text.split(","):
        match = _MEMBER(member.strip(" \t"))
        if match is not None and match[3].isprintable():
            yield match[1], match[2], match[3].rstrip(" \t")
