"""Payloads, and what is asked of the snapshots that are taken of them."""

import enum
import uuid
from typing import Any

import pytest
from hypothesis import strategies as st

from hypervisor_observability.events.payload_snapshot import snapshot

SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=40)
ONE = uuid.UUID(int=1)


class Level(enum.IntEnum):
    HIGH = 3


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
