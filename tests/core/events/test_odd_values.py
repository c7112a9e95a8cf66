"""Odd values of a payload: each costs itself alone, and runs no code that it should not."""

import datetime
import decimal
import enum
import fractions
import ipaddress
import json
import math
import numbers
import pathlib
import sys
from collections import UserDict
from collections.abc import Iterator, Mapping
from typing import Any, NoReturn
from unittest.mock import MagicMock

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypervisor_observability.events.frozen_containers import FrozenDict
from hypervisor_observability.events.json_values import thaw
from hypervisor_observability.events.payload_snapshot import snapshot
from tests.core.events.payloads import ONE, SCALARS, Level, assert_read_only, cuts, same

ODD = st.recursive(
    SCALARS
    | st.binary(max_size=20)
    | st.complex_numbers()
    | st.datetimes()
    | st.decimals()
    | st.uuids()
    | st.fractions()
    | st.integers(min_value=2**2_000, max_value=2**20_000)
    | st.sampled_from([object(), len, int, ValueError("text"), pathlib.PurePath("a"), ...])
    | st.frozensets(SCALARS | st.tuples(SCALARS), max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.tuples(inner, inner)
        | st.dictionaries(SCALARS | st.tuples(SCALARS), inner, max_size=4)
        | st.dictionaries(st.text(max_size=5), inner, max_size=4).map(UserDict)
    ),
    max_leaves=25,
)


@pytest.mark.fault("C13")
@given(st.dictionaries(SCALARS | st.tuples(SCALARS), ODD, max_size=6) | ODD)
def test_snapshot_of_anything_never_raises_and_thaws_to_json(payload: Any) -> None:
    taken = snapshot(payload)

    json.dumps(thaw(taken)).encode("ascii")
    assert_read_only(FrozenDict(taken))


class Meta(type):
    def __eq__(cls, other: object) -> bool:
        raise RuntimeError("no")

    @property
    def __name__(cls) -> str:  # type: ignore[override]  # hostile on purpose
        raise RuntimeError("no")


class OfMeta(metaclass=Meta):
    pass


class LiesAboutItsClass:
    @property  # type: ignore[misc]  # hostile on purpose
    def __class__(self) -> NoReturn:  # type: ignore[override]  # likewise
        raise RuntimeError("no")


class Silent:
    def __repr__(self) -> str:
        raise RuntimeError("no")

    __str__ = __repr__

    def __hash__(self) -> int:
        raise RuntimeError("no")


class HostileMapping(Mapping[str, object]):
    def __getitem__(self, key: str) -> object:
        raise RuntimeError("no")

    def __iter__(self) -> Iterator[str]:
        yield "a"
        raise RuntimeError("no")

    def __len__(self) -> int:
        raise RuntimeError("no")


class EndlessList(list[int]):
    def __iter__(self) -> Iterator[int]:
        while True:
            yield 1

    def __len__(self) -> int:
        return 10**6


class EndlessMapping(Mapping[int, object]):
    def __getitem__(self, key: int) -> object:
        return key

    def __iter__(self) -> Iterator[int]:
        number = 0
        while True:
            yield (number := number + 1)

    def __len__(self) -> int:
        return 10**6


class RudeZone(datetime.tzinfo):
    def utcoffset(self, when: object) -> NoReturn:
        raise RuntimeError("no")

    dst = tzname = utcoffset


class RudeText(str):
    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("no")

    def __hash__(self) -> int:
        return 1

    def __len__(self) -> int:
        raise RuntimeError("no")


HOSTILE: list[Any] = [
    OfMeta(),
    LiesAboutItsClass(),
    Silent(),
    HostileMapping(),
    EndlessList(),
    EndlessMapping(),
    datetime.datetime(2026, 1, 1, tzinfo=RudeZone()),
    RudeText("x"),
    MagicMock(spec=int),
    MagicMock(spec=str),
    MagicMock(spec=dict),
    MagicMock(spec=list),
    BaseException("a", 5, Silent()),
    10**5_000,
    -(10**5_000),
    2**64,
    math.nan,
    math.inf,
    "\ud800 \x00 \u202e \x1b[31m",
    b"\xff" * 5_000,
    bytearray(b"ab"),
    memoryview(b"ab"),
    "x" * (16 * 2**20),
    range(5),
    (number for number in range(5)),
    sys,
]


@pytest.mark.fault("C13")
@pytest.mark.parametrize("number", range(len(HOSTILE)))  # pytest would touch the values
def test_hostile_value_costs_itself_alone(number: int) -> None:
    value = HOSTILE[number]
    # As a payload, as a value, deeper, and where it can be hashed as a member and a key.
    json.dumps(thaw(snapshot(value)))
    for payload in ({"odd": value, "good": 1}, {"in": [(value,)], "good": 1}):
        taken = snapshot(payload)
        text = json.dumps(thaw(taken))
        assert taken["good"] == 1
        assert len(text) < 200_000
    try:
        hash(value)
    except Exception:
        return
    taken = snapshot({"set": {value}, value: 1, "good": 1})
    assert taken["good"] == 1
    json.dumps(thaw(taken))


class Mood(enum.Enum):
    CALM = "calm"
    PRICE = decimal.Decimal("1.5")
    ODD = object()


class Fraction(fractions.Fraction):
    """One of the user's: its own code is not run."""

    def __float__(self) -> NoReturn:
        raise RuntimeError("no")

    @property
    def numerator(self) -> NoReturn:
        raise RuntimeError("no")


@numbers.Integral.register
class Count:
    def __index__(self) -> int:
        return 4


class Pretender:
    """Not declared to be a number: none of these methods is called."""

    def _refuse(self, *_: object) -> NoReturn:
        raise AssertionError("code of the user's was run")

    __index__ = __int__ = __float__ = __bool__ = __str__ = __repr__ = item = tolist = _refuse


PLAIN: list[tuple[Any, Any]] = [
    (Level.HIGH, 3),
    (Mood.CALM, "calm"),
    (Mood.PRICE, 1.5),
    (Mood.ODD, "ODD"),
    (enum.Enum("Colour", "RED").RED, 1),  # type: ignore[attr-defined]  # made here
    (enum.Flag("Right", "READ WRITE").WRITE, 2),  # type: ignore[attr-defined]  # made here
    (decimal.Decimal("1.50"), 1.5),
    (decimal.Decimal("7.00"), 7),
    (decimal.Decimal("-0.25"), -0.25),
    (decimal.Decimal("NaN"), math.nan),
    (decimal.Decimal("-Infinity"), -math.inf),
    (decimal.Decimal("sNaN"), "sNaN"),
    (decimal.Decimal("1E+999999"), "1E+999999"),
    (decimal.Decimal("1E-999999"), 0.0),
    (fractions.Fraction(1, 4), 0.25),
    (fractions.Fraction(4, 2), 2),
    (Fraction(1, 4), 0.25),
    (ONE, "00000000-0000-0000-0000-000000000001"),
    (pathlib.PurePosixPath("/a/b"), "/a/b"),
    (ipaddress.ip_address("::1"), "::1"),
    (ipaddress.ip_address("10.0.0.1"), "10.0.0.1"),
    (datetime.date(2026, 1, 2), "2026-01-02"),
    (datetime.time(1, 2), "01:02:00"),
    (datetime.datetime(2026, 1, 2, 3, tzinfo=datetime.UTC), "2026-01-02T03:00:00+00:00"),
    (datetime.timedelta(seconds=5), 5.0),
    (numpy.bool_(True), True),
    (numpy.bool_(False), False),
    (numpy.int64(7), 7),
    (numpy.uint8(7), 7),
    (numpy.float64(0.5), 0.5),
    (numpy.float32(0.5), 0.5),
    (numpy.float16(0.5), 0.5),
    (numpy.longdouble(2), 2.0),
    (numpy.str_("text"), "text"),
    (numpy.datetime64("2026-01-02"), "2026-01-02"),
    (numpy.timedelta64(5, "s"), 5.0),
    (numpy.array(3), 3),
    (Count(), 4),
]


@pytest.mark.parametrize("number", range(len(PLAIN)))  # pytest would touch the values
def test_scalar_of_another_type_becomes_the_plain_value_that_it_stands_for(number: int) -> None:
    value, plain = PLAIN[number]
    taken = snapshot({"value": value, "in": [(value,)]})

    assert same(taken, {"value": plain, "in": [(plain,)]})
    assert type(taken["value"]) is type(plain)
    assert taken.cuts == 0
    try:
        hash(value)
    except TypeError:
        return
    taken = snapshot({value: "key", "set": {value}, "tuple": {(value,)}})
    assert same(taken, {plain: "key", "set": frozenset({plain}), "tuple": frozenset({(plain,)})})
    assert taken.cuts == 0


def test_no_code_of_a_class_that_is_no_number_is_run() -> None:
    taken = snapshot({"value": Pretender(), "set": {Pretender()}, Pretender(): 1})

    assert taken == {
        "value": {"_tag": "Pretender", "text": ""},
        "set": {"<Pretender>"},
        "<Pretender>": 1,
    }


@pytest.mark.parametrize(
    ("value", "what", "text"),
    [
        (b"\x01\xff", "bytes", "01ff"),
        (bytearray(b"\x02"), "bytearray", "02"),
        (1 + 2j, "complex", "(1+2j)"),
        (KeyError("secret", 5, "b"), "KeyError", "secret, b"),
        (2**3_000, "int", "3001 bits"),
        (object(), "object", ""),
        (datetime.datetime(2026, 1, 1, tzinfo=RudeZone()), "datetime", ""),
        (fractions.Fraction(10**400, 3), "Fraction", ""),
        (numpy.array([1, 2]), "ndarray", ""),
        (numpy.complex64(1), "complex64", ""),
    ],
)
def test_other_values_become_tags(value: object, what: str, text: str) -> None:
    taken = snapshot({"value": value})

    assert taken == {"value": {"_tag": what, "text": text}}
    assert cuts({"value": value}) == 1


def test_payload_that_is_no_mapping_becomes_a_tag() -> None:
    assert snapshot(5) == {"_tag": "int", "text": "3 bits"}
    assert snapshot("text") == {"_tag": "str", "text": "text"}
    assert snapshot(2.5) == {"_tag": "float", "text": "2.5"}
    assert cuts([1, 2]) == 1


def test_mapping_that_cannot_be_read_is_named_with_the_error() -> None:
    taken = snapshot({"bad": HostileMapping()})

    assert taken == {"bad": {"_tag": "unreadable HostileMapping", "text": "RuntimeError"}}
    assert cuts({"bad": HostileMapping()}) == 1


def test_list_that_cannot_be_read_is_named_with_the_error() -> None:
    class Broken(list[int]):
        def __iter__(self) -> Iterator[int]:
            raise LookupError

    assert snapshot({"bad": Broken()}) == {
        "bad": [{"_tag": "unreadable Broken", "text": "LookupError"}]
    }
