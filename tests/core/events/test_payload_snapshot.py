"""The snapshot of a payload: read-only, equal to the original, and of nothing that changes."""

import copy
import enum
import json
import pickle  # noqa: TID251 - that it works is promised
from collections import OrderedDict, UserDict
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from hypervisor_observability.events.frozen_containers import FrozenDict, FrozenList
from hypervisor_observability.events.json_values import thaw
from hypervisor_observability.events.payload_snapshot import snapshot
from tests.core.events.payloads import SCALARS, assert_read_only, cuts, same

JSON_LIKE = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=10), inner, max_size=5)
    ),
    max_leaves=30,
)
PAYLOADS = st.dictionaries(st.text(max_size=10), JSON_LIKE, max_size=8)


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
