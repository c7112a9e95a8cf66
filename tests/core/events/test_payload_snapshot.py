import copy
import datetime
import decimal
import enum
import fractions
import ipaddress
import json
import math
import numbers
import pathlib
import pickle  # noqa: TID251 - that it works is promised
import sys
import uuid
from collections import OrderedDict, UserDict
from collections.abc import Iterator, Mapping
from typing import Any, NoReturn
from unittest.mock import MagicMock

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypervisor_observability.events import payload_snapshot
from hypervisor_observability.events.event import HypervisorEvent
from hypervisor_observability.events.frozen_containers import FrozenDict, FrozenList
from hypervisor_observability.events.json_values import thaw
from hypervisor_observability.events.payload_snapshot import snapshot
from hypervisor_observability.gate import Gate

SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=40)
JSON_LIKE = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=10), inner, max_size=5)
    ),
    max_leaves=30,
)
PAYLOADS = st.dictionaries(st.text(max_size=10), JSON_LIKE, max_size=8)
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


def same(one: object, other: object) -> bool:
    """Compare as ``==`` does, with NaN equal to itself wherever it stands."""
    return repr(one) == repr(other)


def assert_read_only(value: Any) -> None:
    if isinstance(value, dict):
        for change in (
            lambda: value.__setitem__("k", 1),
            lambda: value.__delitem__("k"),
            lambda: value.__ior__({}),
            lambda: value.update(k=1),
            lambda: value.setdefault("k"),
            lambda: value.pop("k", None),
            value.popitem,
            value.clear,
        ):
            with pytest.raises(TypeError, match="read-only"):
                change()
        for item in value.values():
            assert_read_only(item)
    elif isinstance(value, list):
        for change in (
            lambda: value.__setitem__(0, 1),
            lambda: value.__delitem__(0),
            lambda: value.__iadd__([]),
            lambda: value.__imul__(0),
            lambda: value.append(1),
            lambda: value.extend([]),
            lambda: value.insert(0, 1),
            lambda: value.remove(1),
            value.pop,
            value.clear,
            value.sort,
            value.reverse,
        ):
            with pytest.raises(TypeError, match="read-only"):
                change()
        for item in value:
            assert_read_only(item)
    else:
        assert value is None or isinstance(value, (str, int, float, tuple, frozenset))


def cuts(payload: object) -> int:
    return getattr(snapshot(payload), "cuts", 0)


# What is kept


@given(PAYLOADS)
def test_plain_payload_stays_equal_and_loses_nothing(payload: dict[str, Any]) -> None:
    taken = snapshot(payload)

    assert same(taken, payload)
    assert same(thaw(taken), payload)
    assert cuts(payload) == 0


@given(PAYLOADS)
def test_frozen_payload_is_read_only_at_every_level(payload: dict[str, Any]) -> None:
    assert_read_only(FrozenDict(snapshot(payload)))


@given(PAYLOADS)
def test_thawed_payload_is_plain_and_shares_nothing(payload: dict[str, Any]) -> None:
    def check(value: object) -> None:
        assert type(value) in {dict, list, str, int, float, bool, type(None)}
        for item in value.values() if type(value) is dict else value if type(value) is list else ():
            check(item)

    taken = snapshot(payload)
    thawed = thaw(taken)
    check(thawed)
    thawed.clear()
    assert same(taken, payload)


def test_changing_the_original_changes_nothing() -> None:
    inner = [1, {"a": {2}}]
    payload = {"inner": inner, "flat": 1}
    taken = snapshot(payload)
    inner.append(3)
    payload["flat"] = 2

    assert taken == {"inner": [1, {"a": {2}}], "flat": 1}


def test_tuples_and_sets_stay_what_they_are_and_thaw_to_lists() -> None:
    payload: dict[str, Any] = {
        "t": (1, (2, [3])),
        "s": {"b", "a"},
        "f": frozenset({1}),
        "empty": ((), set(), []),
    }
    taken = snapshot(payload)

    assert taken == payload
    assert thaw(taken) == {"t": [1, [2, [3]]], "s": ["a", "b"], "f": [1], "empty": [[], [], []]}


def test_scalar_keys_are_kept() -> None:
    payload = {1: "a", None: "b", 2.5: "c", False: "d", "1": [1]}

    assert snapshot(payload) == payload
    assert json.loads(json.dumps(thaw(snapshot(payload))))["2.5"] == "c"


def test_subclasses_of_plain_types_are_taken_as_the_plain_value() -> None:
    class Text(str):
        __slots__ = ()

    class Number(float):
        __slots__ = ()

    class Level(enum.IntEnum):
        HIGH = 3

    class Kind(enum.StrEnum):
        A = "a"

    payload = {"t": Text("x"), "n": Number(1.5), "l": Level.HIGH, "k": Kind.A, Kind.A: 1}
    taken = snapshot(payload)

    assert taken == payload
    assert {type(value) for value in taken.values()} == {str, float, int}
    assert {type(key) for key in taken} == {str}
    assert taken.cuts == 0


def test_no_payload_is_an_empty_one() -> None:
    assert snapshot(None) == {}


def test_snapshot_of_a_snapshot_is_itself() -> None:
    taken = snapshot({"a": [1]})

    assert snapshot(taken) is taken


def test_other_mappings_become_dicts() -> None:
    assert snapshot(UserDict(a=UserDict(b=1))) == {"a": {"b": 1}}
    assert snapshot(OrderedDict(a=1)) == {"a": 1}


# What is odd


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


class Level(enum.IntEnum):
    HIGH = 3


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


ONE = uuid.UUID(int=1)
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


# What is too much


def test_depth_is_bounded_without_recursion() -> None:
    deep: Any = "bottom"
    for _ in range(100_000):
        deep = {"d": deep}
    taken: Any = snapshot({"d": deep})
    for _ in range(payload_snapshot.MAX_DEPTH):
        taken = taken["d"]

    assert taken == {"_tag": "depth", "text": "dict"}
    while type(deep) is dict:  # taken apart here: the interpreter would recurse
        deep = deep.pop("d")


def test_greatest_depth_is_kept() -> None:
    deep: Any = 1
    for _ in range(payload_snapshot.MAX_DEPTH):
        deep = {"d": deep}

    assert snapshot(deep) == deep
    assert cuts(deep) == 0


@pytest.mark.fault("C13")
def test_cycles_become_tags() -> None:
    ring: dict[str, Any] = {"name": "r"}
    ring["list"] = [ring]
    loop: list[Any] = []
    loop.append((loop,))

    assert snapshot(ring) == {"name": "r", "list": [{"_tag": "cycle", "text": "dict"}]}
    assert snapshot({"l": loop}) == {"l": [({"_tag": "cycle", "text": "list"},)]}


def test_the_same_container_twice_is_no_cycle() -> None:
    shared = [1]

    assert snapshot({"a": shared, "b": [shared]}) == {"a": [1], "b": [[1]]}


def test_long_string_is_cut_and_counted() -> None:
    longest = payload_snapshot.MAX_STRING_CHARACTERS

    assert cuts({"s": "x" * longest}) == 0
    assert snapshot({"s": "x" * (longest + 1)}) == {"s": "x" * longest}
    assert cuts({"s": "x" * (longest + 1)}) == 1


def test_all_strings_together_are_bounded() -> None:
    payload = {str(number): "x" * 10_000 for number in range(20)}
    taken = snapshot(payload)

    assert sum(map(len, taken.values())) == payload_snapshot.MAX_TOTAL_CHARACTERS
    assert cuts(payload) == 14


def test_keys_beyond_the_bound_are_cut_and_their_number_told() -> None:
    payload = {f"k{number}": number for number in range(100_000)}
    taken = snapshot(payload)

    assert len(taken) == payload_snapshot.MAX_KEYS + 1
    assert taken["_cut"] == 100_000 - payload_snapshot.MAX_KEYS
    assert cuts(payload) == 1


def test_long_list_is_cut_and_the_rest_told() -> None:
    taken = snapshot({"l": list(range(100_000))})

    assert taken["l"][-1]["_tag"] == "cut"
    kept = len(taken["l"]) - 1
    assert taken["l"][:-1] == list(range(kept))
    assert taken["l"][-1]["text"] == f"{100_000 - kept} more"


def test_large_set_is_cut_and_the_rest_told() -> None:
    taken = snapshot({"s": set(range(100_000))})

    assert len(taken["s"]) <= payload_snapshot.MAX_NODES + 1
    assert any(str(member).endswith(" more>") for member in taken["s"])
    assert cuts({"s": set(range(100_000))}) == 1


def test_all_values_together_are_bounded() -> None:
    payload = {str(number): list(range(100)) for number in range(100)}
    taken = snapshot(payload)

    assert sum(map(len, taken.values())) < payload_snapshot.MAX_NODES + 200
    assert cuts(payload) > 0


def test_value_that_finds_no_room_is_marked() -> None:
    payload = {"late": {str(number): number for number in range(100)}, "long": [0] * 4_090}
    taken = snapshot(payload)

    assert taken["long"] == payload["long"]
    assert taken["late"]["0"] == 0
    assert taken["late"]["99"] == {"_tag": "cut", "text": "too many values"}
    assert len(taken["late"]) == 100


def test_long_keys_are_cut_and_stay_apart() -> None:
    long = "k" * 300
    payload = {long + "a": [1], long + "b": (2,), "k" * 256: 3}
    taken = snapshot(payload)

    assert sorted(map(repr, taken.values())) == ["(2,)", "3", "[1]"]
    assert all(len(key) < 260 for key in taken)
    assert cuts(payload) == 2


def test_tuples_stay_tuples_as_keys_and_in_sets() -> None:
    payload = {("a", 1): 1, frozenset({2}): 2, "s": {("a", ("b", 1)), frozenset({("c",)}), "d"}}
    taken = snapshot(payload)

    assert taken == payload
    assert taken.cuts == 0
    assert json.loads(json.dumps(thaw(taken)))['["a", 1]'] == 1


def test_other_keys_and_members_are_named_by_their_type() -> None:
    class Silent:
        pass

    taken = snapshot(
        {b"x": "c", 10**5_000: "d", Silent(): 1, Silent(): 2, "s": {Silent(), (b"x",)}}
    )

    assert taken == {
        "<bytes>": "c",
        "<int>": "d",
        "<Silent>": 1,
        "<Silent>#": 2,
        "s": {"<Silent>", ("<bytes>",)},
    }


def test_keys_that_become_one_stay_apart() -> None:
    payload = {ONE: "id", str(ONE): "text", Level.HIGH: "level", ("a",): "tuple", '["a"]': "json"}
    taken = snapshot(payload)

    assert taken == {
        str(ONE): "id",
        f"{ONE}#": "text",
        3: "level",
        ("a",): "tuple",
        '["a"]': "json",
    }
    assert sorted(map(str, thaw(taken))) == sorted([str(ONE), f"{ONE}#", "3", '["a"]', '["a"]#'])


def test_no_two_keys_become_one_as_json() -> None:
    payload: dict[Any, int] = {1: 0, "1": 1, "1#": 2, None: 3, "null": 4, False: 5, "false": 6}
    payload |= {math.nan: 7, "NaN": 8, ("a",): 9, '["a"]': 10}
    plain = thaw(snapshot(payload))
    written = json.dumps(plain)
    pairs: list[tuple[str, object]] = json.loads(written, object_pairs_hook=list)

    assert len(dict(pairs)) == len(payload) == len(pairs)
    assert dict(pairs) == Gate().admit(HypervisorEvent(payload=payload)).payload
    assert plain["NaN#"] == 8


def test_large_and_deep_keys_are_cut() -> None:
    deep: Any = ()
    for _ in range(100):
        deep = (deep,)
    taken = snapshot({deep: 1, tuple(range(100_000)): 2, "s": {tuple(range(100_000))}, "good": 3})

    assert taken["good"] == 3
    assert taken.cuts >= 3
    assert len(json.dumps(thaw(taken))) < 100_000


# The frozen containers


def test_frozen_containers_survive_copy_and_pickle() -> None:
    taken = snapshot({"a": [1, {"b": ({2},)}], "odd": object()})
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        again = pickle.loads(pickle.dumps(taken, protocol))  # noqa: S301 - written in this line
        assert again == taken
        assert_read_only(again)
        assert again.cuts == 1
    assert copy.copy(taken) is copy.deepcopy(taken) is taken
    inner = taken["a"]
    assert type(inner) is FrozenList
    assert copy.copy(inner) is copy.deepcopy(inner) is inner


def test_copy_method_gives_a_dict_that_may_be_changed() -> None:
    taken = snapshot({"a": [1]})
    plain = taken.copy()
    plain["b"] = 2

    assert type(plain) is dict
    assert "b" not in taken


def test_frozen_dict_works_with_json_and_merging() -> None:
    taken = snapshot({"a": [1]})

    assert json.dumps(taken) == '{"a": [1]}'
    assert taken | {"b": 2} == {"a": [1], "b": 2}
    assert {**taken} == {"a": [1]}
