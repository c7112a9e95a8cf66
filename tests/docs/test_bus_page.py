"""The page about the bus says what becomes of a payload's values: row by row."""

import datetime
import decimal
import enum
import fractions
import ipaddress
import numbers
import pathlib
import re
import types
import uuid
from http import HTTPStatus
from pathlib import Path
from typing import Any

import numpy

from hypervisor_observability import HypervisorEvent

ROOT = Path(__file__).parents[2]
ROW = re.compile(r"^\| (?P<type>[^|]+) \| (?P<becomes>[^|]+) \|$", re.MULTILINE)


class Text(str):
    __slots__ = ()


class Mood(enum.Enum):
    CALM = "calm"
    ODD = ("a", "b")


@numbers.Real.register
class Ratio:
    def __float__(self) -> float:
        return 0.5


ROWS: dict[str, list[tuple[Any, Any]]] = {
    "`str`, `int`, `float` subclasses, `IntEnum`, `StrEnum`": [
        (Text("x"), "x"),
        (HTTPStatus.OK, 200),
        (numpy.float64(0.5), 0.5),
    ],
    "another `Enum` member": [(Mood.CALM, "calm"), (Mood.ODD, "ODD")],
    "`Decimal`": [
        (decimal.Decimal("3.00"), 3),
        (decimal.Decimal("0.1"), 0.1),
        (decimal.Decimal("1E+621"), "1E+621"),
    ],
    "`Fraction`": [(fractions.Fraction(6, 3), 2), (fractions.Fraction(1, 4), 0.25)],
    "NumPy scalars and arrays without a dimension": [
        (numpy.bool_(False), False),
        (numpy.int64(7), 7),
        (numpy.array(7), 7),
    ],
    "other registered `numbers.Integral`, `numbers.Real`": [(Ratio(), 0.5)],
    "`UUID`, `PurePath`, `IPv4Address`, `IPv6Address`": [
        (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (pathlib.PurePosixPath("/a"), "/a"),
        (ipaddress.ip_address("10.0.0.1"), "10.0.0.1"),
        (ipaddress.ip_address("::1"), "::1"),
    ],
    "`datetime`, `date`, `time`": [
        (datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC), "2026-01-02T00:00:00+00:00"),
        (datetime.date(2026, 1, 2), "2026-01-02"),
        (datetime.time(3), "03:00:00"),
    ],
    "`timedelta`": [(datetime.timedelta(minutes=1), 60.0)],
    "another mapping": [(types.MappingProxyType({"a": 1}), {"a": 1})],
    "anything else": [(b"\x01\xff", {"_tag": "bytes", "text": "01ff"})],
}


def test_table_of_payload_values_holds_row_by_row() -> None:
    page = (ROOT / "docs" / "reference" / "bus.md").read_text("utf-8")
    table = page[page.index("| type | becomes |") :].split("\n\n")[0]
    rows = [row["type"] for row in ROW.finditer(table)][1:]

    assert rows == list(ROWS)
    for pairs in ROWS.values():
        for given, plain in pairs:
            value = HypervisorEvent(payload={"value": given}).payload["value"]
            assert value == plain
            assert type(value) is type(plain) or isinstance(plain, dict)
