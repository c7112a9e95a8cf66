"""Payloads are read in one place, by keys of one table."""

import ast
import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from hypervisor_observability import EventType, HypervisorEvent
from hypervisor_observability.events.event_types import AGENT_FINISHED
from hypervisor_observability.facts import payload_facts, saga_facts
from hypervisor_observability.facts.payload_keys import PAYLOAD_KEYS
from hypervisor_observability.host.loading import SHIPPED_KINDS

ROOT = Path(__file__).parents[3]
CORE = ROOT / "core" / "src" / "hypervisor_observability"
READERS = [
    path
    for folder in (
        *(CORE / name for name in ("metrics", "spans", "tree", "report")),
        # A store keeps payloads as they are, whatever is in them; a source reads none.
        *(
            path
            for path in (ROOT / "plugins").glob("*/src")
            if path.parent.name not in SHIPPED_KINDS
        ),
    )
    for path in folder.rglob("*.py")
]
BODIES = {"log_records.py"}
"""Readers that hand a payload on whole, and look for no key in it."""


def event(kind: EventType = EventType.SAGA_COMPLETED, **payload: Any) -> HypervisorEvent:
    return HypervisorEvent(event_type=kind, payload=payload)


def keys_read(path: Path) -> Iterator[str]:
    """Give the keys that a file hands to functions of payload_facts."""
    functions = {name for name in dir(payload_facts) if not name.startswith("_")}
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if not isinstance(node, ast.Call) or len(node.args) < 2:
            continue
        called = node.func
        name = getattr(called, "attr", getattr(called, "id", ""))
        key = node.args[1]
        if name in functions and isinstance(key, ast.Constant) and isinstance(key.value, str):
            yield key.value


# One place, one table


def test_no_reader_reads_a_payload_by_itself() -> None:
    found = [
        f"{path.name}:{node.lineno}"
        for path in READERS
        if path.name not in BODIES
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Attribute) and node.attr == "payload"
    ]

    assert len(READERS) > 80
    assert found == []


def test_every_key_that_is_read_is_in_the_table_and_no_other() -> None:
    table = CORE / "facts" / "payload_keys.py"
    paths = [*READERS, *(path for path in (CORE / "facts").glob("*.py") if path != table)]
    read = {key for path in paths for key in keys_read(path)}
    literals = {
        node.value
        for path in paths
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }

    assert {"saga_id", "allowed", "evaluation_ms", "to_ring"} <= read
    assert read - PAYLOAD_KEYS.keys() == set()
    assert {name for name, key in PAYLOAD_KEYS.items() if key.is_read} - literals == set()


# What is read


@pytest.mark.parametrize(
    ("value", "named"),
    [
        ("a", "a"),
        (7, "7"),
        (7.0, "7"),
        (7.5, "7.5"),
        (2**60, str(2**60)),
        (b"\x01", "01"),
        ("", ""),
        (None, ""),
        ([1], ""),
        ({"a": 1}, ""),
        (object(), ""),
        ({1}, ""),
    ],
)
def test_name_is_a_string_or_a_number(value: object, named: str) -> None:
    assert payload_facts.name(event(saga_id=value), "saga_id") == named
    expected = named or payload_facts.UNKNOWN
    assert saga_facts.saga_id(event(saga_id=value)) == expected


@pytest.mark.parametrize(
    "value",
    [("a", 1), ["é", True], {1: "a", "1": None}, {"a", 2}, (1, ("b", {"c"})), True, 7.5, "a"],
)
def test_text_of_what_was_written_and_read_again_is_the_same(value: object) -> None:
    live = event(reason=value)
    again = json.loads(json.dumps(live.to_dict()))["payload"]

    assert payload_facts.reason(live) == payload_facts.reason(event(**again))


@pytest.mark.parametrize(
    ("value", "flag"),
    [
        (True, True),
        (False, False),
        (1, True),
        (0, False),
        (1.0, True),
        ("true", True),
        ("False", False),
        ("yes", None),
        (2, None),
        (math.nan, None),
        (None, None),
        ([True], None),
    ],
)
def test_flag_says_yes_or_no_or_nothing(value: object, flag: bool | None) -> None:
    assert payload_facts.flag(event(allowed=value), "allowed") is flag
    assert payload_facts.is_allowed(event(allowed=value)) is (flag is True)


@pytest.mark.parametrize(
    ("value", "amount", "count"),
    [
        (0, 0, 0),
        (5, 5, 5),
        (0.5, 0.5, None),
        (5.0, 5.0, None),
        (2**53 - 1, 2**53 - 1, 2**53 - 1),
        (2**53, None, None),
        (10**400, None, None),
        (1e308, None, None),
        (-1, None, None),
        (math.nan, None, None),
        (math.inf, None, None),
        (-math.inf, None, None),
        (True, None, None),
        ("5", None, None),
        ([5], None, None),
    ],
)
def test_amounts_can_be_added_up_for_ever(
    value: object, amount: float | None, count: int | None
) -> None:
    cost = event(cost=value)

    assert payload_facts.amount(cost, "cost") == amount
    assert payload_facts.count(cost, "cost") == count


@pytest.mark.parametrize(
    ("payload", "ring"),
    [
        ({"ring": 0}, 0),
        ({"to_ring": 0, "ring": 3}, 0),
        ({"to_ring": None, "ring": 3}, 3),
        ({"ring": 255}, 255),
        ({"ring": 256}, None),
        ({"ring": -1}, None),
        ({"ring": 10**400}, None),
        ({"ring": True}, None),
        ({"ring": 2.0}, None),
        ({"to_ring": "x", "ring": 3}, None),
        ({}, None),
    ],
)
def test_ring_is_an_integer_from_zero(payload: dict[str, Any], ring: int | None) -> None:
    assert payload_facts.ring(event(EventType.RING_ASSIGNED, **payload)) == ring
    assert payload_facts.has_ring(event(**payload)) == bool(payload)


@pytest.mark.parametrize(
    ("kind", "said", "outcome"),
    [
        (EventType.SAGA_COMPLETED, None, "committed"),
        (EventType.SAGA_ESCALATED, None, "escalated"),
        (EventType.SAGA_ESCALATED, "failed", "failed"),
        (EventType.SAGA_COMPLETED, "compensated", "compensated"),
        (EventType.SAGA_COMPLETED, "done", "committed"),
        (EventType.SAGA_COMPLETED, ["compensated"], "committed"),
    ],
)
def test_outcome_is_one_of_four(kind: EventType, said: object, outcome: str) -> None:
    assert saga_facts.outcome(event(kind, outcome=said)) == outcome


@pytest.mark.parametrize(
    "read",
    [
        saga_facts.step_id,
        saga_facts.step_title,
        saga_facts.attempt,
        saga_facts.undone_step,
        saga_facts.group_id,
        saga_facts.phase,
        payload_facts.severity,
        payload_facts.reason,
        payload_facts.failure,
        payload_facts.has_failed,
        payload_facts.blamed_agents,
        payload_facts.caller_trace,
        payload_facts.is_refused_breach,
        saga_facts.is_satisfied,
    ],
)
def test_facts_of_an_empty_payload_are_there(read: Callable[[HypervisorEvent], object]) -> None:
    assert read(event()) in ("", "1", "unknown", False, True, [])


def test_who_ends_an_agent() -> None:
    quarantined = EventType.QUARANTINE_ENTERED

    assert payload_facts.ends_agent(event(AGENT_FINISHED))
    assert payload_facts.is_kill(event(EventType.AGENT_KILLED))
    assert payload_facts.is_kill(event(quarantined, terminated=True))
    assert not payload_facts.ends_agent(event(quarantined))
    assert not payload_facts.is_kill(event(AGENT_FINISHED))
