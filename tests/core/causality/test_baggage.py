"""Baggage: what is on the list travels with an id that is continued, and nothing else."""

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypervisor_observability.bus.event_bus import HypervisorEventBus
from hypervisor_observability.causality import baggage
from hypervisor_observability.causality.causal_trace import CausalTraceId
from hypervisor_observability.causality.choices import Accept
from hypervisor_observability.causality.propagation import Propagator, extract
from hypervisor_observability.events.event_types import EventType
from hypervisor_observability.recorder import Recorder
from hypervisor_observability.recorder.place import baggage_here

ALL = baggage.NAMES


@given(st.dictionaries(st.sampled_from(ALL), st.text(min_size=1, max_size=256)))
def test_what_prints_comes_back_as_it_was(entries: dict[str, str]) -> None:
    text = baggage.write(entries)

    assert text.isascii()
    assert len(text) <= baggage.MAX_BYTES
    printable = {
        name: value
        for name, value in entries.items()
        if value.isprintable() and "\ufffd" not in value
    }
    assert baggage.parse(text, ALL) == printable


@given(st.text())
def test_any_text_is_read_or_left_out(text: str) -> None:
    found = baggage.parse(text, ALL)

    assert all(name in ALL and value.isprintable() for name, value in found.items())
    assert len(baggage.write(found, text)) <= baggage.MAX_BYTES


@pytest.mark.fault("C17")
@pytest.mark.parametrize(
    "text",
    [
        None,
        5,
        b"session.id=s1",
        "",
        "session.id",
        "session.id=",
        "=s1",
        "session.id=a b",
        'session.id="s1"',
        "session.id=s\u0661",
        "session.id=s1\x00",
        "session.id=%0As1",
        "session.id=%1b[31m",
        "session.id=%ff",
        "session.id=%E2%80%AEevil",
        "session.id=" + "x" * 257,
        "Session.ID=s1",
        "session.id=s1," + "x" * baggage.MAX_BYTES,
    ],
)
def test_hostile_baggage_is_left_out(text: Any) -> None:
    assert baggage.parse(text, ALL) == {}


@pytest.mark.fault("C17")
def test_ten_megabytes_are_refused_at_once() -> None:
    header = "session.id=s1," * 750_000

    began = time.thread_time()
    found = baggage.parse(header, ALL)
    written = baggage.write({}, header)

    assert time.thread_time() - began < 1
    assert (found, written) == ({}, "")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("session.id=s1", {"session.id": "s1"}),
        (" session.id = s1 ;ttl=5 , x=y", {"session.id": "s1"}),
        ("broken,,session.id=s%201", {"session.id": "s 1"}),
        ("session.id=first,session.id=second", {"session.id": "first"}),
        ("saga.id=pay-7,session.id=a%2Cb", {"saga.id": "pay-7", "session.id": "a,b"}),
    ],
)
def test_well_formed_baggage_is_read(text: str, found: dict[str, str]) -> None:
    assert baggage.parse(text, ALL) == found


def test_entries_of_others_stand_behind_ours_as_far_as_there_is_room() -> None:
    written = baggage.write({"session.id": "s1"}, "x=1;p=2,session.id=theirs,y=%41")
    assert written == "session.id=s1,x=1;p=2,y=%41"

    full = baggage.write({"session.id": "s1"}, ",".join(f"k{n}={'v' * 200}" for n in range(40)))
    assert len(full) <= baggage.MAX_BYTES
    assert full.startswith("session.id=s1,k0=")
    many = baggage.write({"session.id": "s1"}, ",".join(f"k{n}=v" for n in range(100)))
    assert many.count(",") == baggage.MAX_ENTRIES - 1
    assert baggage.write({"session.id": "x" * 257}) == ""


def test_list_says_what_travels_from_where_the_code_stands(recorder: Recorder) -> None:
    propagator = Propagator("continue", allowed_baggage=ALL, baggage_here=baggage_here)
    few = Propagator("continue", allowed_baggage=["saga.id"], baggage_here=baggage_here)
    headers: dict[str, str] = {"Baggage": "tenant=t1"}
    environment: dict[str, str] = {}
    outside: dict[str, str] = {}

    with recorder.session("s 1"), recorder.agent("did:mesh:a"), recorder.saga("x", saga_id="x-1"):
        propagator.inject(headers)
        few.inject(environment, environment=True)
    propagator.inject(outside)

    assert outside == {}
    assert "did:mesh:a" not in str(headers)
    did = baggage.digest("did:mesh:a")
    assert headers["baggage"] == f"session.id=s%201,agent.did={did},saga.id=x-1,tenant=t1"
    assert environment["BAGGAGE"] == "saga.id=x-1"
    assert propagator.extract(headers).baggage == {
        "session.id": "s 1",
        "agent.did": did,
        "saga.id": "x-1",
    }
    assert few.extract(headers).baggage == {"saga.id": "x-1"}


def test_nothing_travels_unless_it_is_listed() -> None:
    recorder, headers = Recorder(HypervisorEventBus()), dict[str, str]()
    propagator = Propagator("continue", baggage_here=baggage_here)

    with recorder.session("s1"), recorder.agent("did:a"):
        propagator.inject(headers)

    assert set(headers) == {"traceparent", "tracestate"}
    headers["baggage"] = "session.id=s1"
    assert propagator.extract(headers).baggage == {}


def test_where_there_is_nothing_to_tell_no_header_is_written() -> None:
    headers: dict[str, str] = {}

    Propagator(allowed_baggage=ALL).inject(headers, CausalTraceId())

    assert "baggage" not in headers


@pytest.mark.parametrize("accept", ["link", "restart"])
def test_baggage_of_strangers_is_not_read(accept: Accept) -> None:
    headers = {"baggage": "session.id=s1"}
    CausalTraceId().inject(headers)

    assert extract(headers, accept=accept, allowed_baggage=ALL).baggage == {}


def test_session_goes_along_to_the_agent_that_is_called(bus: HypervisorEventBus) -> None:
    recorder, headers = Recorder(bus), {"baggage": "session.id=s1"}
    CausalTraceId().inject(headers)
    caller = extract(headers, accept="continue", allowed_baggage=ALL)

    with recorder.agent("did:b", caller=caller):
        pass
    with recorder.session("s2"), recorder.agent("did:b", caller=caller):
        pass

    joined = bus.query_by_type(EventType.SESSION_JOINED)
    assert [event.session_id for event in joined] == ["s1", "s2"]


def test_carrier_that_raises_for_baggage_alone_is_read_for_the_rest() -> None:
    class Odd(dict[str, str]):
        def __getitem__(self, key: str) -> str:
            if key == "baggage":
                raise OSError("gone")
            return super().__getitem__(key)

    headers = Odd()
    CausalTraceId().inject(headers)
    headers["baggage"] = "session.id=s1"

    extracted = extract(headers, accept="continue", allowed_baggage=ALL)
    assert (extracted.outcome, extracted.baggage) == ("accepted", {})
