"""Protobuf's wire format, as far as spans need it, written without a message in between.

Formats: Protocol Buffers, Encoding. Fields are written in the order of their numbers, and those
that hold their default are left out, as the official classes do.
"""

from collections.abc import Mapping
from functools import lru_cache
from struct import Struct

from hypervisor_observability.spans.record import AttributeValue
from hypervisor_otel.attributes import (
    MAX_NAME_CHARACTERS,
    MAX_TEXT_CHARACTERS,
    first_named,
    fit_integer,
    fit_text,
    fit_time,
)

fixed64 = Struct("<Q").pack
_double = Struct("<d").pack
# Most lengths are below 128, and a byte then.
_SHORT = [bytes([number]) for number in range(128)]
_MAX_CACHED = 1_024  # attributes, each less than 2 KiB
_SHORT_TEXT = 64  # characters
_SMALL = range(1 << 16)


def varint(number: int) -> bytes:
    """Write an integer; a negative one as its two's complement in 64 bits."""
    if 0 <= number < len(_SHORT):
        return _SHORT[number]
    number &= 0xFFFF_FFFF_FFFF_FFFF
    written = bytearray()
    while number >= len(_SHORT):
        written.append(number & 0x7F | 0x80)
        number >>= 7
    written.append(number)
    return bytes(written)


def sized(tag: bytes, body: bytes) -> bytes:
    """Write a field of *body*, be that text or another message."""
    size = len(body)
    return tag + (_SHORT[size] if size < len(_SHORT) else varint(size)) + body


def text(tag: bytes, value: str, max_characters: int = MAX_TEXT_CHARACTERS) -> bytes:
    """Write a field of text, cut and fit for UTF-8."""
    return sized(tag, fit_text(value, max_characters).encode())


def time(tag: bytes, time_ns: int) -> bytes:
    """Write a field of a time, within what it holds; nothing for 0."""
    return tag + fixed64(fit) if (fit := fit_time(time_ns)) else b""


def count(tag: bytes, number: int) -> bytes:
    """Write a field of a number of things; nothing for 0."""
    return tag + varint(number) if number else b""


def attributes(tag: bytes, dropped_tag: bytes, values: Mapping[str, AttributeValue]) -> list[bytes]:
    """Write the field of *values*, and behind it the one that says how many were left out."""
    named = first_named(values)
    written = [
        (_known_pair if len(name) <= _SHORT_TEXT and _is_short(value) else _pair)(tag, name, value)
        for name, value in named
    ]
    if len(named) < len(values):
        written.append(count(dropped_tag, len(values) - len(named)))
    return written


def _is_short(value: AttributeValue) -> bool:
    if type(value) is str:
        return len(value) <= _SHORT_TEXT
    # Floats that are equal may not be the same: 0.0 and -0.0.
    return type(value) is bool or (type(value) is int and value in _SMALL)


def _pair(tag: bytes, name: str, value: AttributeValue) -> bytes:
    key = text(b"\x0a", name, MAX_NAME_CHARACTERS)
    return sized(tag, key + sized(b"\x12", _value(value)))


# The spans of a batch tell the same of many things, such as their agent and their session.
_known_pair = lru_cache(_MAX_CACHED, typed=True)(_pair)


def _value(value: AttributeValue) -> bytes:
    # A bool is an int.
    if isinstance(value, str):
        return text(b"\x0a", value)
    if isinstance(value, bool):
        return b"\x10\x01" if value else b"\x10\x00"
    if isinstance(value, float):
        return b"\x21" + _double(value)
    if not isinstance(value, int):
        # Of a span that somebody else made: its author's mistake must not cost the others.
        return text(b"\x0a", str(value))  # type: ignore[unreachable]  # as just said
    fit = fit_integer(value)
    return text(b"\x0a", fit) if isinstance(fit, str) else b"\x18" + varint(fit)
