"""What is too much of a payload is cut, counted and told."""

import json
import math
from typing import Any

import pytest

from hypervisor_observability.events import payload_snapshot
from hypervisor_observability.events.event import HypervisorEvent
from hypervisor_observability.events.json_values import thaw
from hypervisor_observability.events.payload_snapshot import snapshot
from hypervisor_observability.gate import Gate
from tests.core.events.payloads import ONE, Level, cuts


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
