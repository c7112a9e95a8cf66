"""Lines of the StatsD protocol: ``name:value|type``, with tags or without.

Whatever names and labels hold, a line stays one line with one value: all characters but
ASCII letters, digits and ``_ . -`` become ``_``.
"""

import hashlib
import math
import re
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Literal

from attrs import field, frozen

from hypervisor_statsd.config import TagDialect

MetricType = Literal["c", "g", "ms"]
Label = tuple[str, str]
SeriesKey = tuple[str, tuple[str, ...]]
"""The name of a metric and the values of its labels."""

MAX_PART_CHARACTERS = 160
"""Most characters of a name, a label's name or its value; DogStatsD takes tags of 200."""

MAX_LABELS = 16

_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_.-]")
_NOT_IN_FOLDED = re.compile(r"[^A-Za-z0-9_-]")
# Beyond, a float is written with an exponent, which not every server reads.
_MAX_PLAIN = 1e15
_DIGEST_CHARACTERS = 8


@frozen
class Line:
    """Something to send, of which nothing or all reaches the server.

    Attributes:
        text: ASCII, one metric; two lines for a negative gauge.
        total: What a counter will have been told once this is sent: its key and its total.
    """

    text: str
    total: tuple[SeriesKey, float] | None = None


@frozen
class LineFormat:
    """How lines are written.

    Attributes:
        prefix: Stands in front of every name, followed by a dot; empty for nothing.
        tags: What becomes of labels.
    """

    prefix: str = ""
    tags: TagDialect = field(default=TagDialect.DOGSTATSD)

    def line(self, name: str, labels: Iterable[Label], value: float, type_: MetricType) -> str:
        """Write a metric; a negative gauge as two lines, to be sent together.

        A gauge that begins with a sign is a change to the last one in StatsD, so that a
        negative one is reached from 0.

        Raises:
            ValueError: *value* is not finite.
        """
        name = sanitised(name)
        if self.prefix:
            name = f"{self.prefix}.{name}"
        tags = ""
        pairs = tuple(islice(labels, MAX_LABELS))
        if pairs and self.tags is TagDialect.DOGSTATSD:
            tags = "|#" + ",".join(f"{sanitised(key)}:{sanitised(text)}" for key, text in pairs)
        elif pairs:
            # A dot in a value would move the values behind it to another level.
            name = ".".join((name, *(sanitised(text, _NOT_IN_FOLDED) for _, text in pairs)))
        line = f"{name}:{number(value)}|{type_}{tags}"
        return f"{name}:0|g{tags}\n{line}" if type_ == "g" and value < 0 else line


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
    except OverflowError:  # an integer of more than 308 digits
        finite = False
    if not finite:
        raise ValueError("not a finite number")
    if value == int(value) and abs(value) < _MAX_PLAIN:
        return str(int(value))
    return repr(float(value))


def packed(lines: Iterable[Line], max_bytes: int) -> Iterable[Sequence[Line]]:
    """Group *lines* so that each group, joined by newlines, has at most *max_bytes*.

    A single one that is longer goes alone.
    """
    group: list[Line] = []
    size = -1
    for line in lines:
        if group and size + 1 + len(line.text) > max_bytes:
            yield group
            group, size = [], -1
        group.append(line)
        size += 1 + len(line.text)
    if group:
        yield group
