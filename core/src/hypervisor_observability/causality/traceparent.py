"""Trace ids as the W3C writes them: wide ids, ``traceparent``, ``tracestate``.

Everything here is a function of text alone, so that two processes which exchange nothing
but a short id agree on the wide one. Formats: W3C Trace Context, sections 3.2
(``traceparent``) and 3.3 (``tracestate``).

A native id, 12 and 8 lower-case hexadecimal digits, is widened by a digest in front of
it. The short id stays in the rightmost digits, as section 3.2.2.3 asks, and the digest
spreads the low 8 bytes of the trace id, which samplers compare with their ratio: zeros
in front would make every sampler keep everything.
"""

import re
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import hashlib

SAMPLED: Final = 0x01
"""The one flag that this package sets (W3C Trace Context, section 3.2.2.4)."""

VENDOR: Final = "hv"
"""Our key in ``tracestate``; its value is ``d:N``, the depth of the id beside it."""

_MAX_STATE_ENTRIES: Final = 32  # W3C Trace Context, section 3.3.1.1
_MAX_STATE_CHARACTERS: Final = 512  # section 3.3.1.5
_LONG_ENTRY: Final = 128  # section 3.3.1.5: longer ones go first where room is short
_MAX_STATE_READ: Final = 8192  # no more of what a peer sends is looked at
_MAX_PARENT_READ: Final = 512  # later versions may be longer than 55, within reason
_MAX_DEPTH: Final = 999_999

_HEX12 = re.compile(r"[0-9a-f]{12}").fullmatch
_HEX8 = re.compile(r"[0-9a-f]{8}").fullmatch
_NATIVE_PAIR = re.compile(r"[0-9a-f]{12}/[0-9a-f]{8}").fullmatch
_HEX32 = re.compile(r"[0-9a-f]{32}").fullmatch
_HEX16 = re.compile(r"[0-9a-f]{16}").fullmatch
_TRACEPARENT = re.compile(
    r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?"
).fullmatch
_STATE_ENTRY = re.compile(
    r"([a-z0-9][a-z0-9_*/-]{0,255}|[a-z0-9][a-z0-9_*/-]{0,240}@[a-z][a-z0-9_*/-]{0,13})"
    r"=([ -+\--<>-~]{0,255}[!-+\--<>-~])"
).fullmatch
_OUR_VALUE = re.compile(r"d:(0|[1-9][0-9]{0,5})(?:;.*)?").fullmatch


@cache
def _sha256() -> Callable[[bytes], "hashlib._Hash"]:
    # Loading OpenSSL takes longer than all the rest of this module; few processes widen ids.
    from hashlib import sha256

    return sha256


def _digest(prefix: str, text: str) -> str:
    return _sha256()(f"{prefix}\0{text}".encode()).hexdigest()


def is_wide_trace(trace_id: str) -> bool:
    """Tell whether *trace_id* is of the W3C's form: 32 lower-case hexadecimal digits."""
    return _HEX32(trace_id) is not None


def is_native(trace_id: str, span_id: str) -> bool:
    """Tell whether the pair was drawn by this package, in its short or its wide form."""
    if _HEX12(trace_id) and _HEX8(span_id):
        return True
    return narrow_pair(trace_id, span_id) is not None


def widen_trace(trace_id: str) -> str:
    """Give the 32 digits of *trace_id*, which depend on nothing else.

    12 lower-case hexadecimal digits stay in the rightmost place, 32 stay as they are, and
    anything else becomes a digest, which leads no way back.
    """
    if _HEX12(trace_id):
        return _digest("hv-trace", trace_id)[:20] + trace_id
    if _HEX32(trace_id):
        return trace_id
    return _digest("hv-trace", trace_id)[:32]


def widen_span(trace_id: str, span_id: str) -> str:
    """Give the 16 digits of *span_id* in *trace_id*, both as the id holds them."""
    pair = f"{trace_id}/{span_id}"
    if _NATIVE_PAIR(pair):
        return _digest("hv-span", pair)[:8] + span_id
    if _HEX32(trace_id) and _HEX16(span_id):
        return span_id
    return _digest("hv-span", pair)[:16]


def is_same_trace(trace_id: str, other: str) -> bool:
    """Tell whether two trace ids name one trace, be one of them the wide form of the other."""
    if trace_id == other:
        return True
    # Of two ids that differ, one is the wide form of the other, or neither is.
    if is_wide_trace(trace_id) == is_wide_trace(other) or not (trace_id + other).isascii():
        return False
    return widen_trace(trace_id) == widen_trace(other)


def narrow_trace(trace32: str) -> str | None:
    """Give the 12 digits that *trace32* was widened from; None if it is somebody else's."""
    short = trace32[-12:]
    return short if _HEX32(trace32) and widen_trace(short) == trace32 else None


def narrow_span(trace12: str, span16: str) -> str | None:
    """Give the 8 digits that *span16* was widened from in *trace12*, or None."""
    short = span16[-8:]
    return short if _HEX16(span16) and widen_span(trace12, short) == span16 else None


def narrow_pair(trace32: str, span16: str) -> tuple[str, str] | None:
    """Give the native pair that both were widened from, or None.

    A foreign span in a native trace gives None: half a native id would not find back.
    """
    trace12 = narrow_trace(trace32)
    if trace12 is None:
        return None
    span8 = narrow_span(trace12, span16)
    return None if span8 is None else (trace12, span8)


def check_wide(trace32: str, span16: str) -> None:
    """Check a W3C pair.

    Raises:
        TypeError: One of them is no string.
        ValueError: One of them is not lower-case hexadecimal of its width, or all zeros.
    """
    for name, text, digits, matches in (
        ("trace id", trace32, 32, _HEX32),
        ("span id", span16, 16, _HEX16),
    ):
        if not isinstance(text, str):
            raise TypeError(f"{name}: expected a string, got {type(text).__name__}")
        if not matches(text):
            raise ValueError(f"{name}: expected {digits} lower-case hexadecimal digits")
        if not text.strip("0"):
            raise ValueError(f"{name}: all zeros is no id")


def parse_traceparent(text: str) -> tuple[str, str, int]:
    """Split a ``traceparent`` into trace id (32 digits), span id (16 digits) and flags.

    Versions after 00 are read as if they were 00, as section 3.2.4 asks; 00 itself has
    exactly 55 characters.

    Raises:
        TypeError: *text* is not a string.
        ValueError: It is not a ``traceparent``; the message says what is wrong.
    """
    if not isinstance(text, str):
        raise TypeError(f"traceparent: expected a string, got {type(text).__name__}")
    match = _TRACEPARENT(text) if len(text) <= _MAX_PARENT_READ else None
    if match is None:
        raise ValueError("traceparent: expected VERSION-TRACE-SPAN-FLAGS in lower-case hexadecimal")
    version, trace32, span16, flags, more = match.groups()
    if version == "ff":
        raise ValueError("traceparent: version ff is forbidden")
    if version == "00" and more is not None:
        raise ValueError(f"traceparent: version 00 has 55 characters, got {len(text)}")
    check_wide(trace32, span16)
    return trace32, span16, int(flags, 16)


def format_traceparent(trace32: str, span16: str, *, flags: int = SAMPLED) -> str:
    """Write a ``traceparent`` of version 00.

    The flag for random ids (0x02) is not for ids that were widened by a digest.

    Raises:
        TypeError, ValueError: As ``check_wide``; *flags* is not between 0 and 255.
    """
    check_wide(trace32, span16)
    if not 0 <= flags <= 0xFF:
        raise ValueError(f"flags: expected 0 to 255, got {flags}")
    return f"00-{trace32}-{span16}-{flags:02x}"


def _entries(tracestate: object) -> dict[str, str]:
    """Give the entries by key, the first of each; none at all if one is malformed."""
    if not isinstance(tracestate, str) or len(tracestate) > _MAX_STATE_READ:
        return {}
    entries: dict[str, str] = {}
    for member in tracestate.split(","):
        stripped = member.strip(" \t")
        if not stripped:
            continue  # section 3.3.1.1 allows empty members
        match = _STATE_ENTRY(stripped)
        if match is None:
            return {}
        entries.setdefault(match[1], match[2])
    return entries


def depth_in_tracestate(tracestate: str | None) -> int:
    """Give the depth that a ``tracestate`` tells; 0 where it tells none. Never raises."""
    match = _OUR_VALUE(_entries(tracestate or "").get(VENDOR, ""))
    return int(match[1]) if match else 0


def format_tracestate(depth: int, others: str | None = "") -> str:
    """Write a ``tracestate`` with our depth in front of the entries of other vendors.

    At most 32 entries and 512 characters: where that is too little, entries over 128
    characters go first, then the last ones. Malformed *others* are left out. Never raises.
    """
    entries = _entries(others or "")
    entries.pop(VENDOR, None)
    members = [f"{VENDOR}=d:{min(depth, _MAX_DEPTH)}"]
    members.extend(f"{key}={value}" for key, value in entries.items())
    if not _fits(members):
        members = [member for member in members if len(member) <= _LONG_ENTRY]
    while not _fits(members):
        members.pop()
    return ",".join(members)


def other_vendors(tracestate: str | None) -> str:
    """Give the entries of a ``tracestate`` that are not ours; empty if it is malformed."""
    entries = _entries(tracestate or "")
    return ",".join(f"{key}={value}" for key, value in entries.items() if key != VENDOR)


def _fits(members: list[str]) -> bool:
    characters = sum(map(len, members)) + len(members) - 1
    return len(members) <= _MAX_STATE_ENTRIES and characters <= _MAX_STATE_CHARACTERS
