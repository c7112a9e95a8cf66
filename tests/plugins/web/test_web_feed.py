"""What the page asks of the newest events, and of those before them."""

import json
from http import HTTPStatus
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from hypervisor_observability import CausalTraceId, EventType, HypervisorEvent
from hypervisor_observability.config import RedactionConfig
from hypervisor_observability.events.event import at_nanoseconds
from hypervisor_observability.gate.gate import Gate
from hypervisor_observability.serving.pages import Refused, Request
from hypervisor_observability.stores import Entry
from hypervisor_web.event_json import MOST_PAYLOAD_BYTES
from hypervisor_web.feed.endpoints import Feed, Surroundings
from hypervisor_web.feed.observers import Observers
from hypervisor_web.feed.ring import Ring
from tests.plugins.web.entries import BEGUN, IDS, SCALARS, TEXTS, VALUES, entry

MIB = 1024 * 1024


def feed_of(*entries: Any, most: int = 100_000, **surroundings: Any) -> Feed:
    observers = Observers(Ring(most, 64 * MIB))
    observers.take(entries)
    return Feed(observers, Surroundings(title="shop", place="here", **surroundings))


def asked(feed: Feed, path: str, **query: object) -> Any:
    page = feed.pages()[path](Request(query={key: str(value) for key, value in query.items()}))
    return json.loads(page.body)


def refusal(feed: Feed, path: str, **query: object) -> Refused:
    with pytest.raises(Refused) as caught:
        asked(feed, path, **query)
    return caught.value


def test_about_says_what_is_shown() -> None:
    feed = feed_of(most=7, service="shop-api", version="1.2.3")
    feed.observers.notice("segment 3 is damaged")

    about = asked(feed, "/api/about")

    assert about.pop("now") > BEGUN * 1e6
    assert len(about.pop("ring")) == 16
    assert about == {
        "title": "shop",
        "place": "here",
        "mode": "process",
        "service": "shop-api",
        "version": "1.2.3",
        "capacity": 7,
        "notices": ["segment 3 is damaged"],
        "reading": False,
    }


def test_row_says_what_a_list_shows() -> None:
    did = "did:mesh:payer"
    feed = feed_of(
        entry(0, EventType.SESSION_JOINED, agent_did=did, payload={"name": "payer"}),
        entry(
            1,
            EventType.RING_BREACH_DETECTED,
            agent_did=did,
            session_id="s-1",
            causal_trace_id="00000000000000000000000000abcdef/1111111111111111",
            payload={"attempted_tool": "rm", "severity": "high"},
        ),
    )

    bare, breach = asked(feed, "/api/rows", first=0, count=10)["rows"]

    assert bare[:8] == [0, BEGUN * 1e6, "session.joined", did, "payer", None, None, None]
    assert breach == [
        1,
        (BEGUN + 1) * 1e6,
        "ring.breach_detected",
        did,
        "payer",
        "s-1",
        "00000000000000000000000000abcdef",
        "000000000000",
        1,
        "rm severity=high",
    ]


def test_row_names_a_trace_as_terminals_do() -> None:
    trace = CausalTraceId()
    feed = feed_of(entry(0, causal_trace_id=trace.full_id))

    (row,) = asked(feed, "/api/rows", count=1)["rows"]

    assert row[6:8] == [trace.to_w3c()[0], trace.trace_id]


def test_hostile_text_stays_text_and_short() -> None:
    hostile = "<script>\u202e\ud800" * 1_000
    feed = feed_of(entry(0, agent_did=hostile, session_id=hostile, payload={"name": hostile}))

    (row,) = asked(feed, "/api/rows", count=1)["rows"]

    assert row[3] == hostile[:200]
    assert len(row[9]) <= 200


@pytest.mark.parametrize(
    ("first", "count", "found"),
    [
        (0, 5, range(10, 15)),
        (18, 5, range(18, 20)),
        (12, 0, []),
        (99, 9, []),
        ("", "", range(10, 20)),
    ],
)
def test_rows_are_those_that_are_there(first: Any, count: Any, found: Any) -> None:
    feed = feed_of(*map(entry, range(20)), most=10)

    answer = asked(feed, "/api/rows", first=first, count=count)

    assert (answer["oldest"], answer["next"]) == (10, 20)
    assert [row[0] for row in answer["rows"]] == list(found)
    assert answer["first"] == (found[0] if found else max(10, first))


@pytest.mark.parametrize(
    ("path", "query", "text"),
    [
        ("/api/rows", {"first": "-1"}, "first: expected a number from 0, got '-1'"),
        ("/api/rows", {"count": "٣"}, "count: expected a number from 0, got '٣'"),
        ("/api/rows", {"filter": "--agnt x"}, "did you mean --agent?"),
        ("/api/event", {}, "expected the position of an event"),
    ],
)
def test_bad_question_is_refused_with_what_would_be_right(
    path: str, query: dict[str, str], text: str
) -> None:
    refused = refusal(feed_of(), path, **query)

    assert refused.status is HTTPStatus.BAD_REQUEST
    assert text in refused.text


def test_bad_filter_of_a_stream_is_refused_before_it_begins() -> None:
    with pytest.raises(Refused, match="never"):
        feed_of().live(Request(query={"filter": "--since never"}))


def test_stream_goes_on_in_the_same_ring_only() -> None:
    feed = feed_of(*map(entry, range(500)))

    def first_rows(**query: str) -> int:
        lines = map(json.loads, feed.live(Request(query=query)))
        return next(int(one["first"]) for one in lines if one["t"] == "rows")

    assert first_rows() == 400
    assert first_rows(**{"from": "450"}) == 450
    assert first_rows(**{"from": "450", "ring": feed.observers.id}) == 450
    assert first_rows(**{"from": "450", "ring": "of-a-process-before"}) == 400


def test_event_is_given_whole() -> None:
    one = entry(0, payload={"tool_name": "pay", "amount": 3})

    assert asked(feed_of(one), "/api/event", position=0) == {
        "position": 0,
        "run": "run",
        "sequence": 0,
        "event": one.event.to_dict(),
        "payload_cut": False,
    }


def test_huge_payload_is_cut_and_that_is_told() -> None:
    text = "\U0001f600" * 20_000
    payload = {"first": text, "list": [text] * 20, "last": text, "later": 1}
    one = entry(0, payload=payload)

    answer = asked(feed_of(one), "/api/event", position=0)

    assert answer["payload_cut"]
    assert len(json.dumps(answer)) < MOST_PAYLOAD_BYTES * 1.1
    assert answer["event"]["payload"]["first"] == one.event.payload["first"]
    assert "characters in all" in json.dumps(answer)


def test_event_that_has_left_is_not_found_and_why() -> None:
    refused = refusal(feed_of(*map(entry, range(20)), most=10), "/api/event", position=3)

    assert refused.status is HTTPStatus.NOT_FOUND
    assert "the newest 10 events are kept" in refused.text


def test_process_has_no_past() -> None:
    assert "/api/past" not in feed_of().pages()


@given(
    payload=some.dictionaries(SCALARS, VALUES, max_size=5),
    ids=some.tuples(IDS, IDS, IDS, IDS),
    time_ns=some.integers(-(10**18), 4 * 10**18),
    event_type=some.sampled_from(list(EventType)) | TEXTS,
)
def test_any_event_has_a_row_and_can_be_opened(
    payload: Any, ids: Any, time_ns: int, event_type: Any
) -> None:
    event = HypervisorEvent(None, event_type, 0.0, ids[0], ids[1], ids[2], ids[3], payload)
    admitted = Gate.of(RedactionConfig()).admit(at_nanoseconds(event, time_ns))
    feed = feed_of(Entry("run", 0, admitted))

    (row,) = asked(feed, "/api/rows")["rows"]

    assert len(row) == 10
    assert len(row[9]) <= 200
    assert "\n" not in row[9]
    asked(feed, "/api/event", position=0)
