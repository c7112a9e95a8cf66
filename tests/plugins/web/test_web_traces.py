"""A trace is read once, taken as it comes, and built once for all who look at it."""

import json
import threading
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

import pytest

from hypervisor_observability.causality.causal_trace import CausalTraceId
from hypervisor_observability.serving.ending import Ending
from hypervisor_observability.serving.pages import Refused
from hypervisor_observability.stores import Entry, Wanted, trace_key
from hypervisor_web.traces import kept as kept_module
from hypervisor_web.traces import looking as looking_module
from hypervisor_web.traces import traces as traces_module
from tests.plugins.web.traced import Recorded, event, rows


@pytest.fixture(autouse=True)
def restless(monkeypatch: pytest.MonkeyPatch) -> None:
    """Build again at once, unless a test wants otherwise."""
    monkeypatch.setattr(traces_module, "_REST", 0)


@pytest.fixture
def root() -> CausalTraceId:
    return CausalTraceId()


@pytest.fixture
def recorded(root: CausalTraceId) -> Recorded:
    made = Recorded()
    made.record(event("run.started", root, name="r"))
    return made


def test_what_is_known_is_not_sent_again(recorded: Recorded, root: CausalTraceId) -> None:
    answer = recorded.trace(root.trace_id)

    page = recorded.ask("/api/trace", id=root.trace_id, known=answer["version"])

    assert (page.status, page.body) == (HTTPStatus.NO_CONTENT, b"")


def test_what_comes_is_shown_without_reading_the_past_again(
    recorded: Recorded, root: CausalTraceId
) -> None:
    known = recorded.trace(root.trace_id)
    readings = len(recorded.readings)
    recorded.record(event("tool.started", root.child(), 1.0, tool_name="search"))

    answer = recorded.trace(root.trace_id, known=known["version"])

    assert [one["title"] for one in rows(answer)] == ["r", "search"]
    assert answer["version"] != known["version"]
    assert len(recorded.readings) == readings


def test_clock_of_the_answer_is_that_of_its_moment(recorded: Recorded, root: CausalTraceId) -> None:
    first = recorded.trace(root.trace_id)

    second = recorded.trace(root.trace_id)

    assert second["version"] == first["version"]
    assert second["now"] > first["now"]


def test_keys_of_rows_stay_when_others_come(recorded: Recorded, root: CausalTraceId) -> None:
    late, early = root.child(), root.child()
    recorded.record(event("tool.started", late, 2.0, tool_name="late"))
    before = {one["title"]: one["key"] for one in rows(recorded.trace(root.trace_id))}
    recorded.record(event("tool.started", early, 1.0, tool_name="early"), run="another")

    after = {one["title"]: one["key"] for one in rows(recorded.trace(root.trace_id))}

    assert {title: after[title] for title in before} == before
    assert list(after) == ["r", "early", "late"]


def test_what_came_while_the_past_was_read_is_kept_once(root: CausalTraceId) -> None:
    recorded = Recorded()
    recorded.record(event("run.started", root, name="r"))
    read = recorded.read

    def past(wanted: Wanted, limit: int | None) -> Iterator[Entry]:
        found = list(read(wanted, limit))
        if limit is None or wanted.session_id is not None:  # its key is looked up
            return iter(found)
        # One that the reading has not found, and one that it would have.
        recorded.record(event("tool.started", root.child(), 1.0, tool_name="search"))
        recorded.traces.take(recorded.entries[0], 0)
        return iter(found)

    recorded.past = past

    answer = recorded.trace(root.trace_id)

    assert answer["events"] == 2
    assert [one["title"] for one in rows(answer)] == ["r", "search"]


def test_trace_that_changes_all_the_time_is_answered_as_it_stood(
    recorded: Recorded, root: CausalTraceId, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(traces_module, "_REST", 1e9)
    known = recorded.trace(root.trace_id)
    recorded.record(event("tool.started", root.child(), 1.0, tool_name="search"))

    same = recorded.trace(root.trace_id, known=known["version"])
    whole = recorded.trace(root.trace_id)

    assert same["version"] == whole["version"] == known["version"]
    assert same["ask_in_ms"] > 0
    assert "columns" not in same
    assert whole["ask_in_ms"] > 0
    assert known["ask_in_ms"] == 0


def test_viewers_at_once_have_it_built_once(recorded: Recorded, root: CausalTraceId) -> None:
    answers: list[Any] = []
    readings = len(recorded.readings)
    threads = [
        threading.Thread(target=lambda: answers.append(recorded.trace(root.trace_id)))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert len(answers) == 8
    assert len({answer["version"] for answer in answers}) == 1
    assert len(recorded.readings) - readings <= 1 + len(threads)  # each looks its key up


def test_only_the_newest_events_are_kept_and_the_rest_is_told(
    root: CausalTraceId, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept_module, "MOST_EVENTS", 5)
    monkeypatch.setattr(traces_module, "MOST_EVENTS", 5)
    recorded = Recorded()
    recorded.record(*(event("run.started", root.child(), one, name=f"r{one}") for one in range(6)))

    read = recorded.trace(root.trace_id)
    recorded.record(event("run.started", root.child(), 6, name="r6"))
    taken = recorded.trace(root.trace_id)

    assert (read["events"], taken["events"]) == (5, 5)
    assert read["notices"] == ["the newest 5 events are shown; left out: older ones"]
    assert taken["notices"] == [
        "the newest 5 events are shown; left out: 1 older, and those before them"
    ]
    assert [one["title"] for one in rows(taken)][1:] == ["r2", "r3", "r4", "r5", "r6"]


def test_large_payloads_push_older_events_out(
    root: CausalTraceId, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept_module, "MOST_BYTES", 10_000)
    recorded = Recorded()
    for number in range(4):
        recorded.record(event("run.started", root.child(), number, name="r", text="x" * 6_000))

    answer = recorded.trace(root.trace_id)

    assert answer["events"] == 1
    assert answer["notices"] == ["the newest 1 events are shown; left out: 3 older"]


def test_traces_that_nobody_asks_for_are_given_up(
    recorded: Recorded, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(traces_module, "_MOST_OPEN", 2)
    roots = [CausalTraceId() for _ in range(4)]
    recorded.record(*(event("run.started", one, name="r") for one in roots))
    for one in roots:
        recorded.trace(one.trace_id)
    readings = len(recorded.readings)

    recorded.trace(roots[-1].trace_id)
    assert len(recorded.readings) == readings
    recorded.trace(roots[0].trace_id)
    assert len(recorded.readings) > readings


@pytest.mark.parametrize("length", [3, 8, 12])
def test_the_beginning_of_an_id_will_do(
    recorded: Recorded, root: CausalTraceId, length: int
) -> None:
    assert recorded.trace(root.trace_id[:length])["trace"] == root.trace_id


def test_a_session_opens_its_newest_trace_and_says_how_many_there_are(
    recorded: Recorded,
) -> None:
    newest = CausalTraceId()
    recorded.record(event("run.started", newest, 9.0, name="newest"))

    answer = recorded.trace("s")

    assert (answer["trace"], answer["others"]) == (newest.trace_id, 1)


def test_unknown_and_ambiguous_ids_say_what_to_do(recorded: Recorded) -> None:
    recorded.record(
        *(event("run.started", CausalTraceId(trace_id=f"abc{n}"), name="r") for n in range(2))
    )

    with pytest.raises(Refused, match="has an id that begins with") as unknown:
        recorded.trace("nothing-like-this")
    with pytest.raises(Refused, match="is the beginning of 2 ids") as ambiguous:
        recorded.trace("abc")
    with pytest.raises(Refused, match="expected the id of a trace") as none:
        recorded.ask("/api/trace")

    assert unknown.value.status == HTTPStatus.NOT_FOUND
    assert ambiguous.value.status == none.value.status == HTTPStatus.BAD_REQUEST


def test_id_that_takes_too_long_to_find_says_how_far_the_search_came(
    recorded: Recorded, root: CausalTraceId, monkeypatch: pytest.MonkeyPatch
) -> None:
    newest = CausalTraceId()
    recorded.record(event("run.started", newest, 9.0, name="newest"))
    now = iter(range(1_000))
    monkeypatch.setattr(looking_module, "_MOST_SECONDS", 1.5)
    monkeypatch.setattr("time.monotonic", lambda: float(next(now)))

    with pytest.raises(Refused, match=r"no id among the newest 1 events .*'hvobs tree'") as late:
        recorded.trace(root.trace_id[:8])

    assert late.value.status == HTTPStatus.NOT_FOUND
    assert recorded.trace("s")["trace"] == newest.trace_id  # by the index of sessions


def test_search_for_which_nobody_waits_ends_at_once(
    recorded: Recorded, root: CausalTraceId
) -> None:
    read, given, gone = recorded.read, [0], Ending()

    def slow(wanted: Wanted, limit: int | None) -> Iterator[Entry]:
        for entry in read(wanted, limit):
            gone.set("the viewer has gone")
            given[0] += 1
            yield entry

    recorded.record(*(event("run.started", CausalTraceId(), name="r") for _ in range(5)))
    with pytest.raises(Refused, match="the viewer has gone") as refused:
        recorded.traces.find(slow, "nothing-like-this", gone)

    assert (refused.value.status, given) == (HTTPStatus.SERVICE_UNAVAILABLE, [1])


def test_who_waits_for_the_search_of_another_may_give_up(recorded: Recorded) -> None:
    searching, done, gone = threading.Event(), threading.Event(), Ending()

    def slow(_wanted: Wanted, _limit: int | None) -> Iterator[Entry]:
        searching.set()
        done.wait(60)
        yield from ()

    other = threading.Thread(target=recorded.traces.find, args=(slow, "one", Ending()))
    other.start()
    try:
        assert searching.wait(60)
        gone.set("the viewer has gone")
        with pytest.raises(Refused, match="the viewer has gone"):
            recorded.traces.find(slow, "two", gone)
    finally:
        done.set()
        other.join(60)


def test_past_that_cannot_be_read_leaves_nothing_half_open(
    recorded: Recorded, root: CausalTraceId
) -> None:
    read = recorded.read

    def fails(*_: object) -> object:
        raise OSError("the directory is gone")

    recorded.past = fails  # type: ignore[assignment]  # raises whatever is asked
    with pytest.raises(OSError, match="gone"):
        recorded.traces.built(recorded.past, trace_key(root.trace_id), Ending())

    recorded.past = read
    assert recorded.trace(root.trace_id)["events"] == 1


def test_opened_row_shows_its_events_and_the_address_of_one_leads_there(
    recorded: Recorded, root: CausalTraceId
) -> None:
    tool = root.child()
    started = event("tool.started", tool, 1.0, tool_name="search", arguments={"q": "x"})
    recorded.record(started, event("tool.finished", tool, 2.0, tool_name="search", status="error"))
    answer = recorded.trace(root.trace_id, at=started.event_id)
    key = rows(answer)[1]["key"]

    work = json.loads(recorded.ask("/api/work", id=root.trace_id, key=str(key)).body)

    assert answer["at"] == 1
    assert [one["event"]["event_type"] for one in work["events"]] == [
        "tool.started",
        "tool.finished",
    ]
    assert work["events"][0]["event"] == started.to_dict()
    assert work["left_out"] == 0
    assert recorded.trace(root.trace_id, at="none")["at"] is None


def test_row_of_very_many_events_shows_its_beginning_and_its_end(
    recorded: Recorded, root: CausalTraceId
) -> None:
    recorded.record(
        *(event("usage.recorded", root, n, input_tokens=n) for n in range(1, 1_001)),
        event("run.finished", root, 2_000, name="r"),
    )

    page = recorded.ask("/api/work", id=root.trace_id, key="0")
    work = json.loads(page.body)

    assert (len(work["events"]), work["left_out"]) == (200, 802)
    assert work["events"][-1]["event"]["event_type"] == "run.finished"


@pytest.mark.parametrize("key", ["7777", "", "-1", "x", "9" * 40])
def test_row_that_is_not_there_is_refused(
    recorded: Recorded, root: CausalTraceId, key: str
) -> None:
    with pytest.raises(Refused, match="no longer there"):
        recorded.ask("/api/work", id=root.trace_id, key=key)
