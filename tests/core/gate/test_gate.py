"""The gate: strict JSON, and no secrets, whatever is in a payload."""

import json
import math
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypervisor_observability import EventType, HypervisorEvent
from hypervisor_observability.events.event import with_payload
from hypervisor_observability.gate import REDACTED, Gate, PayloadPolicy

CANARY = "c4n4ry"
TOKENS = [
    "sk-ant-api03-" + CANARY * 4,
    "sk_live_" + CANARY * 4,
    "ghp_" + CANARY * 4,
    "github_pat_" + CANARY * 4,
    "glpat-" + CANARY * 4,
    "AKIA" + "C4N4RY".ljust(16, "A"),
    "AIza" + (CANARY * 6)[:35],
    "xoxb-" + CANARY * 4,
    f"eyJhbGciOiJI{CANARY}.eyJzdWIi{CANARY}.{CANARY}",
    f"Authorization: Bearer {CANARY * 3}",
    f"-----BEGIN RSA PRIVATE KEY-----\n{CANARY}\n-----END RSA PRIVATE KEY-----",
    f"-----BEGIN PRIVATE KEY-----\n{CANARY}",
    f"https://user:{CANARY}@example.org/path",
    f"postgresql://{CANARY}:{CANARY}@db/x",
    f"password={CANARY}",
    f"api_key: {CANARY}",
]
SECRET_KEYS = [
    "password", "userPassword", "USER_PASSWORD", "db-password-2", "mypassword", "token",
    "access_token", "accessToken", "X-Api-Key", "apikey", "Authorization", "auth",
    "proxy-authorization", "client_secret", "clientSecret", "AWS_SECRET_ACCESS_KEY", "Set-Cookie",
    "csrf", "private_key", "credentials", "jwt", "token_id",
]  # fmt: skip
HARMLESS_KEYS = [
    "input_tokens", "output_tokens", "max_tokens", "token_count", "tokenCount", "token_usage",
    "author", "authority", "authored_by", "secretary", "keyboard", "api", "key", "tokenizer",
    "session_id", "passport_office", "cookieless", "",
]  # fmt: skip


def admitted(payload: Any, gate: Gate | None = None) -> HypervisorEvent:
    event = HypervisorEvent(payload=payload)
    return (gate or Gate()).admit(event)


def strict(event: HypervisorEvent) -> Any:
    """Write and read what JSON can say and nothing else, in UTF-8."""

    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    text = json.dumps(event.to_dict(), allow_nan=False, ensure_ascii=False)
    return json.loads(text.encode("utf-8"), parse_constant=refuse)


def nested(value: Any, depth: int = 6) -> dict[str, Any]:
    for level in range(depth):
        value = ([value], {"inner": value}, (value, 1))[level % 3]
    return {"outer": value}


# Secrets


@pytest.mark.fault("C14")
@pytest.mark.parametrize("token", TOKENS)
@pytest.mark.parametrize("place", ["flat", "nested", "key", "set"])
def test_token_is_taken_out_wherever_it_stands(token: str, place: str) -> None:
    text = f"see {token} there"
    payload: dict[str, Any] = {
        "flat": {"note": text, "n": 1},
        "nested": nested(text),
        "key": {text: 1},
        "set": {"all": {text, "b"}},
    }[place]
    gate = Gate()
    event = admitted(payload, gate)

    assert CANARY.lower() not in json.dumps(strict(event)).lower()
    assert CANARY.lower() not in repr(event).lower()
    assert REDACTED in json.dumps(strict(event))
    assert gate.redacted >= 1


@pytest.mark.fault("C14")
@pytest.mark.parametrize("key", SECRET_KEYS)
@pytest.mark.parametrize("value", [CANARY, [1, CANARY], {"a": CANARY}, b"c4n4ry"])
def test_value_of_a_secret_key_is_taken_out_whole(key: str, value: Any) -> None:
    for payload in ({key: value}, nested({key: value})):
        # Not the whole event: its id may hold any digits.
        text = json.dumps(strict(admitted(payload))["payload"])
        assert CANARY not in text
        assert CANARY.encode().hex() not in text


@pytest.mark.parametrize("key", HARMLESS_KEYS)
def test_key_that_only_looks_like_a_secret_stays(key: str) -> None:
    event = HypervisorEvent(payload={key: "value that stays", "n": 5})

    assert Gate().admit(event) is event


def test_absent_secret_is_seen_to_be_absent() -> None:
    assert admitted({"password": None}).payload == {"password": None}


def test_redaction_can_be_extended_and_turned_off() -> None:
    gate = Gate(keys=["iban"], patterns=["x{3}"])
    assert admitted({"myIban": "DE1", "a": "1xxx2", "password": "p"}, gate).payload == {
        "myIban": REDACTED,
        "a": f"1{REDACTED}2",
        "password": "p",
    }
    off = Gate(enabled=False)
    assert admitted({"password": "p", "bad": math.nan}, off).payload == {
        "password": "p",
        "bad": {"_tag": "float", "text": "nan"},
    }
    assert (off.redacted, gate.redacted) == (0, 2)


def test_pattern_that_is_none_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match=r"'\(a' is not a regular expression"):
        Gate(patterns=["(a"])


@pytest.mark.fault("C14")
def test_gate_that_fails_lets_nothing_through(monkeypatch: pytest.MonkeyPatch) -> None:
    gate = Gate()

    def broken(_: object) -> bool:
        raise ZeroDivisionError

    monkeypatch.setattr(gate._redaction, "hides", broken)
    event = admitted({"password": CANARY}, gate)

    assert event.payload == {"_gate": "ZeroDivisionError"}
    assert gate.failed == 1


# Normal form

odd = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(exclude_categories=()))
    | st.binary(max_size=8)
    | st.sets(st.integers() | st.text())
    | st.datetimes(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text(st.characters(exclude_categories=())) | st.integers(), inner)
    ),
    max_leaves=12,
)


@pytest.mark.fault("C13")
@given(
    payload=st.dictionaries(st.text(st.characters(exclude_categories=())), odd), odd_id=st.text()
)
def test_whatever_is_admitted_is_strict_json(payload: dict[str, Any], odd_id: str) -> None:
    gate = Gate()
    event = HypervisorEvent(payload=payload, session_id=odd_id, agent_did=odd_id + "\ud800")
    found = gate.admit(event)

    assert strict(found) == found.to_dict()
    assert gate.failed == 0
    assert (found.event_id, found.timestamp_ns) == (event.event_id, event.timestamp_ns)
    assert gate.admit(found).to_dict() == found.to_dict()


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (math.inf, {"_tag": "float", "text": "inf"}),
        ((1, (2,)), [1, [2]]),
        ({3, 1, 2}, [1, 2, 3]),
        ("a\ud800", "a\\ud800"),
        ({1: "a", "1": "b"}, {"1": "a", "1#": "b"}),
        (2**64, 2**64),
        ("é", "é"),
    ],
)
def test_values_have_one_normal_form(value: Any, expected: Any) -> None:
    assert admitted({"value": value}).payload == {"value": expected}


def test_event_of_which_nothing_has_to_change_is_the_same() -> None:
    event = HypervisorEvent(
        session_id="sé",
        payload={"tool": "search", "n": 1, "f": 0.5, "b": True, "é": "é", "0": None},
    )
    plain = HypervisorEvent(payload={"tool": "é", "n": 1})

    assert Gate().admit(plain) is plain
    assert Gate().admit(event).to_dict() == event.to_dict()


def test_another_payload_leaves_all_else_as_it_is() -> None:
    event = HypervisorEvent(
        event_id="e1",
        event_type=EventType.VFS_WRITE,
        timestamp=datetime(2026, 1, 2, tzinfo=UTC),
        session_id="s",
        agent_did="a",
        causal_trace_id="t/s",
        parent_event_id="p",
        payload={"a": 1},
    )
    drawn = HypervisorEvent()

    assert with_payload(event, {"b": [2]}).to_dict() == {**event.to_dict(), "payload": {"b": [2]}}
    assert with_payload(drawn, {}).timestamp_ns == drawn.timestamp_ns
    assert with_payload(drawn, {}) == drawn


# Policies


@pytest.mark.fault("O12")
def test_policy_lets_out_what_it_names() -> None:
    event = HypervisorEvent(payload={"a": 1, "b": CANARY})

    assert PayloadPolicy.of("all").apply(event) is event
    assert PayloadPolicy.of("none").apply(event).payload == {}
    assert PayloadPolicy.of(["a", "c"]).apply(event).payload == {"a": 1}
    assert PayloadPolicy.of(["a", "b"]).apply(event) is event
    empty = HypervisorEvent()
    assert PayloadPolicy.of("none").apply(empty) is empty
    with pytest.raises(ValueError, match="'all', 'none' or a list of keys, got 'some'"):
        PayloadPolicy.of("some")
