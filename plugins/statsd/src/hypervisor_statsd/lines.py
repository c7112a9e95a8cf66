"""Lines of the StatsD protocol: ``name:value|type``, with tags or without.

Whatever names and labels hold, a line stays one line with one value: all characters but
ASCII letters, digits and ``_ . -`` become ``_``.
"""

import hashlib
import math
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Literal, assert_never

from attrs import define, field, frozen

from hypervisor_statsd.config import TagDialect

MetricType = Literal["c", "g", "ms", "h", "d"]
Label = tuple[str, str]
LabelValues = tuple[str, ...]

Stem = tuple[str, str]
"""What stands before the value of a series in its line, and what behind it."""


@define(eq=False)
class Series:
    """What is known of a series from push to push.

    Attributes:
        stem: All of its line but the value.
        told: Of a counter, the total that the server has been told; of a duration, 1 once
            it was told.
        lives: How often the counter was seen to begin anew.
    """

    stem: Stem
    told: float = 0
    lives: int = 0


Line = tuple[str, Series | None, float]
"""Something to send, of which nothing or all reaches the server.

Its text: ASCII, one metric; two lines for a negative gauge. Of a counter or a duration the
series, and what the server has been told of it once this is sent. A plain tuple, because tens of
thousands of them are made at a push.
"""

MAX_PART_CHARACTERS = 160
"""Most characters of a name, a label's name or its value; DogStatsD takes tags of 200."""

MAX_LABELS = 16

_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_.-]")
_NOT_IN_FOLDED = re.compile(r"[^A-Za-z0-9_-]")
# Beyond, a float is written with an exponent, which not every server reads.
_MAX_PLAIN = 1e15
_DIGEST_CHARACTERS = 8
# DogStatsD takes a line that begins so for a service check (Datagram format, Service checks).
_SERVICE_CHECK = "_sc"


@frozen
class LineFormat:
    """How lines are written.

    Attributes:
        prefix: Stands in front of every name, followed by a dot; empty for nothing.
        tags: What becomes of labels.
    """

    prefix: str = ""
    tags: TagDialect = field(default=TagDialect.DOGSTATSD)

    def stem(
        self, name: str, labels: Iterable[Label], type_: MetricType, sample_rate: float = 1
    ) -> Stem:
        """Write all of a series but its value."""
        name = sanitised(name)
        if self.prefix:
            name = f"{self.prefix}.{name}"
        elif name.startswith(_SERVICE_CHECK):
            name = f"_{name}"
        rate = "" if sample_rate == 1 else f"|@{sample_rate:g}"
        pairs = tuple(islice(labels, MAX_LABELS))
        if not pairs:
            return f"{name}:", f"|{type_}{rate}"
        match self.tags:
            case TagDialect.DOGSTATSD:
                tags = ",".join(f"{sanitised(key)}:{sanitised(text)}" for key, text in pairs)
                return f"{name}:", f"|{type_}{rate}|#{tags}"
            case TagDialect.INFLUX:
                tags = ",".join(f"{sanitised(key)}={sanitised(text)}" for key, text in pairs)
                return f"{name},{tags}:", f"|{type_}{rate}"
            case TagDialect.NONE:
                # A dot in a value would move the values behind it to another level.
                parts = (name, *(sanitised(text, _NOT_IN_FOLDED) for _, text in pairs))
                return f"{'.'.join(parts)}:", f"|{type_}{rate}"
            case _:
                assert_never(self.tags)


def with_value(stem: Stem, value: float) -> str:
    """Write a metric; a negative gauge as two lines, to be sent together.

    A gauge that begins with a sign is a change to the last one in StatsD, so that a negative
    one is reached from 0.

    Raises:
        ValueError: *value* is not finite.
    """
    head, tail = stem
    line = f"{head}{number(value)}{tail}"
    return f"{head}0{tail}\n{line}" if value < 0 and tail.startswith("|g") else line


def sanitised(text: str, unwanted: re.Pattern[str] = _NOT_IN_NAMES) -> str:
    """Give *text* without characters that mean something in a line.

    Of a long text the beginning stays, with a digest of the whole, so that what differs
    goes on differing.
    """
    if len(text) > MAX_PART_CHARACTERS:
        digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
        beginning = text[: MAX_PART_CHARACTERS - _DIGEST_CHARACTERS - 1]
        text = f"{beginning}_{digest[:_DIGEST_CHARACTERS]}"
    return unwanted.sub("_", text) or "_"


def number(value: float) -> str:
    """Write a number in decimals, shortly; only the very large and small have an exponent.

    Raises:
        ValueError: It is not finite.
    """
    try:
        finite = math.isfinite(value)
    except (OverflowError, TypeError):  # an integer of more than 308 digits, or no number
        finite = False
    if not finite:
        raise ValueError("not a finite number")
    if value == int(value) and abs(value) < _MAX_PLAIN:
        return str(int(value))
    return repr(float(value))


def packed(lines: Iterable[Line], max_bytes: int) -> Iterator[Sequence[Line]]:
    """Group *lines* so that each group, joined by newlines, has at most *max_bytes*.

    A single one that is longer goes alone.
    """
    group: list[Line] = []
    room = max_bytes
    for line in lines:
        size = len(line[0])
        if size > room and group:
            yield group
            group = []
            room = max_bytes
        group.append(line)
        room -= size + 1
    if group:
        yield group
