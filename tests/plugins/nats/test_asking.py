"""The past of a fleet: what is in the stream, by time, as far as it is what was written."""

import heapq
import random
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from nats.js.client import JetStreamContext

from hypervisor_journal.format.encoding import event_of
from hypervisor_journal.format.frames import EVENT, Record
from hypervisor_nats.asking.history import FleetHistory
from hypervisor_nats.asking.sieve import Sieve
from hypervisor_nats.asking.stream_messages import StreamAwayError
from hypervisor_nats.config import NatsConfig
from hypervisor_nats.names import subject_of
from hypervisor_observability import EventType, HypervisorEvent
from hypervisor_observability.errors import NoHistoryError
from hypervisor_observability.stores import (
    EVERYTHING,
    Entry,
    Follower,
    HistoryContext,
    Wanted,
    trace_key,
)
from tests.commands import run_hvobs
from tests.plugins.nats.arrivals import (
    EPOCH_NS,
    RUN,
    Message,
    RunWriter,
    delete,
    events,
    forged,
    message,
    messages_of,
    publish,
)
from tests.plugins.nats.servers import (
    NatsServer,
    ask_server,
    config_of,
    make_stream,
    one_server,
)
from tests.waiting import wait_until

OTHER = RUN[:-1] + "e"
SEED = 20261128


@contextmanager
def history(
    config: NatsConfig, notices: list[str] | None = None, **context: Any
) -> Iterator[FleetHistory]:
    """Ask the stream; what cannot be read is a failure unless *notices* takes it."""
    told: list[str] = []
    taken = told if notices is None else notices
    opened = FleetHistory.of(config, HistoryContext(notice=taken.append, **context))
    try:
        yield opened
    finally:
        opened.close()
    assert told == []


def news_of(follower: Follower) -> list[Entry]:
    """Wait for news."""
    found: list[Entry] = []

    def is_there() -> bool:
        found.extend(follower.news())
        return bool(found)

    wait_until(is_there, 60)
    return found


def numbers(entries: Iterator[Entry] | Sequence[Entry]) -> list[int]:
    return [entry.sequence for entry in entries]


def runs_with_clocks_apart(dice: random.Random) -> dict[str, list[Record]]:
    """Runs of several hosts, some at the same time, with clocks that step back and are apart."""
    runs: dict[str, list[Record]] = {}
    for number in range(6):
        writer = RunWriter()
        now = EPOCH_NS + dice.choice([0, 0, 3_600, -7_200]) * 10**9
        for _ in range(dice.randrange(1, 120)):
            now += dice.choice([1_000, 5_000, 5_000, 20_000, -3_000])
            writer.event(
                now,
                {"text": dice.choice(["ä", "\u2028", "plain"])},
                event_type=dice.choice(["vfs.write", "session.joined", "ring.breach_detected"]),
                session_id=dice.choice([None, "s1", 's"2', "sé"]),
                agent_did=dice.choice(["did:mesh:a", "did:mesh:b"]),
                causal_trace_id=dice.choice([None, "a1b2c3d4e5f6/00000001", "0" * 31 + "1/2"]),
            )
            if dice.random() < 0.1:
                writer.gap(3)
        runs[f"20261128T10111{number}.000000Z-" + f"{number:032x}"] = writer.records
    return runs


def right(runs: dict[str, list[Record]], wanted: Wanted, *, turned: bool) -> list[tuple[str, int]]:
    """Give the runs and numbers of what is wanted, by time, each run in its own order."""
    parts = []
    for name, records in sorted(runs.items(), reverse=turned):
        found = [one for one in records if one.kind == EVENT and wanted.covers(event_of(one))]
        parts.append([(name, one) for one in (reversed(found) if turned else found)])
    merged = heapq.merge(*parts, key=lambda pair: pair[1].time_ns, reverse=turned)
    return [(name, one.sequence) for name, one in merged]


def places(entries: Iterator[Entry]) -> list[tuple[str, int]]:
    return [(entry.run, entry.sequence) for entry in entries]


def test_history_gives_what_is_wanted_by_time_over_all_runs(nats_config: NatsConfig) -> None:
    dice = random.Random(SEED)
    runs = runs_with_clocks_apart(dice)
    waiting = {
        name: messages_of(records, dice.sample(range(len(records)), len(records) // 7), run=name)
        for name, records in runs.items()
    }
    arrive: list[Message] = []
    while waiting:  # the shippers of the hosts take turns
        name = dice.choice(sorted(waiting))
        arrive.append(waiting[name].pop(0))
        if not waiting[name]:
            del waiting[name]
    publish(nats_config, *arrive)
    since = EPOCH_NS + 100_000
    asked = [
        EVERYTHING,
        Wanted(event_type="ring.breach_detected"),
        Wanted(session_id='s"2'),
        Wanted(session_id="sé"),
        Wanted(agent_did="did:mesh:b", event_type="session.joined"),
        Wanted(trace=trace_key("a1b2c3d4e5f6")),
        Wanted(trace=trace_key("0" * 31 + "1")),
        Wanted(since_ns=since),
        Wanted(since_ns=since, until_ns=since + 200_000),
        Wanted(until_ns=EPOCH_NS - 10**12),
        Wanted(event_type="no.such_type"),
    ]
    with history(nats_config) as opened:
        assert opened.runs() == sorted(runs)
        for wanted in asked:
            turned = right(runs, wanted, turned=True)
            assert places(opened.events(wanted)) == right(runs, wanted, turned=False)
            assert places(opened.events(wanted, newest_first=True)) == turned
            for limit in (0, 1, 7, 1_000):
                newest = opened.events(wanted, limit=limit, newest_first=True)
                assert places(newest) == turned[:limit]
                assert places(opened.events(wanted, limit=limit)) == turned[:limit][::-1]
            some = {name: runs[name] for name in sorted(runs)[:2]}
            of_some = opened.events(wanted, runs=list(some))
            assert places(of_some) == right(some, wanted, turned=False)


@pytest.mark.fault("N13")
def test_events_of_hosts_whose_messages_overlap_are_by_time(nats_config: NatsConfig) -> None:
    writers = {RUN: RunWriter(), OTHER: RunWriter()}
    for number in range(60):
        writers[RUN if number % 3 else OTHER].event(EPOCH_NS + number)
    for name, writer in writers.items():
        publish(
            nats_config,
            *messages_of(writer.records, range(0, 60, 7)[: len(writer.records) // 7], run=name),
        )
    with history(nats_config) as opened:
        times = [entry.event.timestamp_ns - EPOCH_NS for entry in opened.events()]
        turned = [entry.event.timestamp_ns - EPOCH_NS for entry in opened.events(newest_first=True)]
    assert times == list(range(60))
    assert turned == times[::-1]


@pytest.mark.fault("N7")
def test_repeats_are_shown_once(nats_config: NatsConfig) -> None:
    records = events(9)
    parts = messages_of(records, [2, 5])
    overlapping = message(records[1:5], first=1, chain=records[0].chain)
    publish(nats_config, parts[0], parts[0], overlapping, *parts, parts[1], parts[2])
    with history(nats_config) as opened:
        assert numbers(opened.events()) == list(range(9))
        assert numbers(opened.events(newest_first=True)) == list(range(9))[::-1]
        described = opened.describe()
    assert (described.runs, described.living, described.problems) == (1, (), ())


def test_numbers_that_never_came_are_reported(nats_config: NatsConfig) -> None:
    parts = messages_of(events(12), [2, 5, 8])
    publish(nats_config, parts[0], *parts[2:])
    publish(nats_config, *messages_of(events(3), run=OTHER)[:1])
    for limit, told in ((None, True), (3, False), (100, True)):
        notices: list[str] = []
        with history(nats_config, notices) as opened:
            found = numbers(opened.events(runs=[RUN], limit=limit))
        assert found == ([0, 1, 2, 6, 7, 8, 9, 10, 11] if limit != 3 else [9, 10, 11])
        hole = f"run {RUN}: numbers 3 to 5 never came to the stream"
        assert notices == ([hole] if told else [])


def test_numbers_missing_before_the_end_are_reported(nats_config: NatsConfig) -> None:
    parts = messages_of(events(6), [2])
    last = parts[1][0]
    ended = message([], first=last.next, chain=last.then, ended=True)
    publish(nats_config, parts[0], ended)
    notices: list[str] = []
    with history(nats_config, notices) as opened:
        assert numbers(opened.events()) == [0, 1, 2]
    assert notices == [f"run {RUN}: numbers 3 to 5 never came to the stream"]


def test_run_that_contradicts_itself_is_shown_as_far_as_it_goes(nats_config: NatsConfig) -> None:
    """Whoever asks for the newest alone sees it too: the heads of all messages say so."""
    parts = messages_of(events(9), [2, 5], ended=False)
    stranger = message(events(3, RunWriter(b"\1" * 32, 9)), chain=b"\1" * 32)
    following = message(events(3, RunWriter(stranger[0].then, 12)), chain=stranger[0].then)
    publish(nats_config, *parts, stranger, following)
    publish(nats_config, *messages_of(events(4), run=OTHER))
    for limit in (None, 3):
        notices: list[str] = []
        with history(nats_config, notices) as opened:
            found = list(opened.events(limit=limit))
            problems = opened.describe().problems
        assert max(numbers([one for one in found if one.run == RUN])) == 8
        assert f"run {RUN}, number 9: a record before this message is missing" in notices[0]
        assert len(notices) == len(problems) == 1


@pytest.mark.fault("N9")
def test_record_that_was_changed_ends_what_is_shown_of_its_run(nats_config: NatsConfig) -> None:
    parts = messages_of(events(9), [2, 5])
    publish(nats_config, parts[0], forged(parts[1], 1, b'{"number":44}'), parts[2])
    publish(nats_config, *messages_of(events(2), run=OTHER))
    notices: list[str] = []
    with history(nats_config, notices) as opened:
        found = numbers(opened.events(runs=[RUN]))
        again = numbers(opened.events(runs=[RUN], newest_first=True))
    assert found == [0, 1, 2, 3]
    assert again == [3, 2, 1, 0]
    told = f"run {RUN}, number 4: the record is not what was written; nothing of it from there on"
    assert notices == [f"{told} is shown: 'hvobs nats verify' says more"]


def test_message_that_hides_others_by_its_headers_is_found(nats_config: NatsConfig) -> None:
    """Its head fits; it claims later numbers, and a time outside every question."""
    parts = messages_of(events(9), [2, 5])
    head, data = parts[1]
    hiding = evolve(head, next=5_000_000, from_ns=1, until_ns=1), data
    for count in (0, 3):
        publish(nats_config, parts[0], (evolve(hiding[0], count=count), data), *parts[1:])
        for asked in ({}, {"limit": 2}, {"newest_first": True}):
            notices: list[str] = []
            with history(nats_config, notices) as opened:
                found = numbers(opened.events(Wanted(since_ns=EPOCH_NS), **asked))
            assert set(found) <= {0, 1, 2}
            assert f"run {RUN}, number 3: its headers and its records disagree" in notices[0]

        async def purge(jetstream: JetStreamContext) -> None:
            await jetstream.purge_stream(nats_config.stream)

        ask_server(nats_config, purge)


def test_overlap_that_does_not_fit_at_its_seam_is_found(nats_config: NatsConfig) -> None:
    other = RunWriter()
    again = message(events(9, other))
    publish(nats_config, *messages_of(events(6), ended=False), again)
    for turned in (False, True):
        notices: list[str] = []
        with history(nats_config, notices) as opened:
            found = numbers(opened.events(newest_first=turned))
        assert sorted(found) == list(range(6))
        assert f"run {RUN}, number 6: the same numbers came with other records" in notices[0]


def test_repeats_packed_in_another_way_are_no_fault(nats_config: NatsConfig) -> None:
    """As by a shipper that begins again with other bounds."""
    records = events(12)
    publish(nats_config, *messages_of(records, [3, 7], ended=False))
    publish(nats_config, *messages_of(records, [1, 4, 5, 9]))
    with history(nats_config) as opened:
        for _ in range(2):
            assert numbers(opened.events(limit=3)) == [9, 10, 11]
            assert numbers(opened.events()) == list(range(12))
        described = opened.describe()
    assert (described.events, described.living) == (12, ())


def test_change_found_behind_the_newest_takes_them_away(nats_config: NatsConfig) -> None:
    parts = messages_of(events(9), [2, 5])
    publish(nats_config, parts[0], forged(parts[1], 1, b'{"number":44}'), parts[2])
    notices: list[str] = []
    with history(nats_config, notices) as opened:
        assert numbers(opened.events(limit=5)) == [0, 1, 2, 3]
    assert len(notices) == 1


@pytest.mark.fault("N8")
def test_foreign_messages_are_reported_and_skipped(nats_config: NatsConfig) -> None:
    (ours,) = messages_of(events(3))
    publish(nats_config, ours)

    async def strange(jetstream: JetStreamContext) -> None:
        subject = subject_of(nats_config.subject, "svc", RUN, 4)
        await jetstream.publish(subject, b"hello")
        await jetstream.publish(f"{nats_config.subject}.some.where", b"hello")
        head = {**ours[0].to_headers(), "Nats-Msg-Id": "another"}
        await jetstream.publish(subject.replace(RUN[-3:], "abc"), ours[1], headers=head)
        for odd in ({"Hv-Format": "2"}, {"Hv-First": "-1"}, {"Hv-Chain": "00"}):
            await jetstream.publish(subject, b"", headers={**head, **odd, "Nats-Msg-Id": str(odd)})

    ask_server(nats_config, strange)
    remarks: list[str] = []
    with history(nats_config, remark=remarks.append) as opened:
        assert numbers(opened.events()) == [0, 1, 2]
        assert opened.runs() == [RUN]
        assert len(opened.describe().problems) == 4
    assert "has no Hv-Format header" in remarks[0]
    assert remarks[-1] == "and 3 more messages that are not of a run"


@pytest.mark.fault("N6")
def test_stream_that_is_not_there_or_is_empty_says_what_to_do(
    nats_server: NatsServer, nats_config: NatsConfig
) -> None:
    with pytest.raises(NoHistoryError, match="hvobs ship"), history(nats_config):
        pass
    nothing = config_of(nats_server)
    with pytest.raises(NoHistoryError, match="hvobs nats init"), history(nothing):
        pass


def test_what_comes_to_a_stream_that_is_not_there_yet_is_followed(nats_server: NatsServer) -> None:
    config = config_of(nats_server)
    with history(config, may_be_empty=True) as opened:
        follower = opened.follow()
        assert (list(follower.news()), opened.runs(), list(opened.events())) == ([], [], [])
        assert follower.newest(EVERYTHING, 5) == []
        make_stream(config)
        publish(config, *messages_of(events(4)))
        found = news_of(follower)
    assert numbers(found) == [0, 1, 2, 3]


def test_follower_gives_what_was_there_and_then_what_comes(nats_config: NatsConfig) -> None:
    parts = messages_of(events(9), [2, 5])
    publish(nats_config, *parts[:2])
    with history(nats_config) as opened:
        follower = opened.follow()
        publish(nats_config, parts[1], parts[2], *messages_of(events(2), run=OTHER))
        assert numbers(follower.newest(EVERYTHING, 4)) == [2, 3, 4, 5]
        assert numbers(follower.newest(Wanted(event_type="no.such_type"), 4)) == []
        assert numbers(follower.recent(2)) == [3, 4, 5]
        assert numbers(follower.recent(100)) == [0, 1, 2, 3, 4, 5]
        assert numbers(follower.recent(0)) == []
        assert numbers(follower.news()) == [6, 7, 8, 0, 1]
        assert numbers(follower.news()) == []


def test_follower_reports_a_run_that_goes_bad_and_numbers_that_never_came(
    nats_config: NatsConfig,
) -> None:
    parts = messages_of(events(12), [2, 5, 8])
    publish(nats_config, parts[0])
    notices: list[str] = []
    with history(nats_config, notices) as opened:
        follower = opened.follow()
        publish(nats_config, parts[2], forged(parts[3], 0, b"{}"), parts[3])

        async def strange(jetstream: JetStreamContext) -> None:
            await jetstream.publish(f"{nats_config.subject}.some.where", b"hello")

        ask_server(nats_config, strange)
        assert numbers(follower.news()) == [6, 7, 8]
    assert notices[0] == f"run {RUN}: numbers 3 to 5 never came to the stream"
    assert notices[1].startswith(f"run {RUN}, number 9: the record is not what was written")
    assert "not of a run" in notices[2]
    assert len(notices) == 3


def test_recreated_stream_is_followed_from_its_start(nats_config: NatsConfig) -> None:
    publish(nats_config, *messages_of(events(3)))
    with history(nats_config) as opened:
        follower = opened.follow()

        async def remove(jetstream: JetStreamContext) -> None:
            await jetstream.delete_stream(nats_config.stream)
            await jetstream.delete_key_value(nats_config.bucket)

        ask_server(nats_config, remove)
        assert opened.runs() == []
        make_stream(nats_config)
        publish(nats_config, *messages_of(events(2), run=OTHER))
        found = news_of(follower)
        assert [one.run for one in found] == [OTHER, OTHER]
        assert opened.runs() == [OTHER]


@pytest.mark.fault("N6")
def test_stream_that_was_restored_as_it_had_been_is_read_again(tmp_path: Path) -> None:
    with one_server(tmp_path / "server") as server:
        config = config_of(server)
        make_stream(config)
        server.stop()
        shutil.copytree(tmp_path / "server" / "data", tmp_path / "copy")
        server.start()
        publish(config, *messages_of(events(4), (0, 1)))
        with history(config) as opened:
            follower = opened.follow()
            assert opened.runs() == [RUN]
            server.stop()
            shutil.rmtree(tmp_path / "server" / "data")
            shutil.copytree(tmp_path / "copy", tmp_path / "server" / "data")
            server.start()
            publish(config, *messages_of(events(2), run=OTHER))

            found = news_of(follower)
            assert [one.run for one in found] == [OTHER, OTHER]
            assert opened.runs() == [OTHER]


def test_server_that_is_away_is_reported(nats_server: NatsServer, nats_config: NatsConfig) -> None:
    publish(nats_config, *messages_of(events(3)))
    away = evolve(nats_config, servers=("nats://127.0.0.1:1",), timeout_seconds=0.5)
    with pytest.raises(StreamAwayError, match="nobody listens there"), history(away):
        pass
    notices: list[str] = []
    with history(nats_config, notices) as opened:
        follower = opened.follow()
        opened.messages.link.close()
        assert list(follower.news()) == list(follower.news()) == []
        for asked in (opened.runs, opened.events, opened.describe):
            with pytest.raises(OSError, match="nats://"):
                asked()
    assert len(notices) == 1
    assert "cannot be read at present" in notices[0]


def test_retention_takes_the_beginning_and_says_nothing(nats_config: NatsConfig) -> None:
    publish(nats_config, *messages_of(events(2), run=OTHER))
    publish(nats_config, *messages_of(events(9), [2, 5]))
    with history(nats_config) as opened:
        assert opened.runs() == sorted([RUN, OTHER])
        follower = opened.follow()

        async def purge(jetstream: JetStreamContext) -> None:
            await jetstream.purge_stream(nats_config.stream, seq=3)

        ask_server(nats_config, purge)
        assert numbers(follower.newest(EVERYTHING, 100)) == [3, 4, 5, 6, 7, 8]
        assert numbers(opened.events()) == [3, 4, 5, 6, 7, 8]
        assert opened.runs() == [RUN]
        assert opened.describe().events == 6


def test_removed_message_is_reported(nats_config: NatsConfig) -> None:
    publish(nats_config, *messages_of(events(9), [2, 5]))
    notices: list[str] = []
    with history(nats_config, notices) as opened:
        opened.runs()
        delete(nats_config, 2)
        assert numbers(opened.events()) == [0, 1, 2, 6, 7, 8]
    assert notices == [f"run {RUN}: the message that begins with number 3 has been removed"]
    notices.clear()
    with history(nats_config, notices) as opened:
        assert numbers(opened.events()) == [0, 1, 2, 6, 7, 8]
    assert notices == [f"run {RUN}: numbers 3 to 5 never came to the stream"]


def test_record_that_holds_no_event_is_reported(nats_config: NatsConfig) -> None:
    writer = RunWriter().event().event(event_type=5).event()
    publish(nats_config, *messages_of(writer.records))
    notices: list[str] = []
    with history(nats_config, notices) as opened:
        assert numbers(opened.events()) == [0, 2]
    assert notices == [f"no event: run {RUN}, number 1: the event's id or type is no string"]


def test_stream_that_allows_no_direct_reads_says_what_to_do(nats_server: NatsServer) -> None:
    config = config_of(nats_server)
    make_stream(config, allow_direct=False)
    publish(config, *messages_of(events(3)))
    notices: list[str] = []
    with history(config, notices) as opened:
        with pytest.raises(StreamAwayError, match="allow_direct"):
            list(opened.events())
        assert list(opened.follow().news()) == []
    assert "allow_direct" in notices[0]


def test_history_says_what_it_holds_and_which_runs_are_live(nats_config: NatsConfig) -> None:
    publish(nats_config, *messages_of(events(3)))
    publish(nats_config, *messages_of(events(4), run=OTHER, ended=False))
    with history(nats_config) as opened:
        described = opened.describe()
        assert opened.place == f"{nats_config.servers[0]} stream {nats_config.stream}"
    assert (described.runs, described.events, described.living) == (2, 7, (OTHER,))
    assert described.bytes


def test_steps_are_expected_and_taken(nats_config: NatsConfig) -> None:
    publish(nats_config, *messages_of(events(9), [2, 5]))
    expected: list[int] = []
    steps: list[None] = []
    with history(nats_config, expect=expected.append, step=lambda: steps.append(None)) as opened:
        opened.runs()
        steps.clear()
        list(opened.events())
    assert expected == [3]
    assert len(steps) == 3


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        (("query", "--agent", "did:mesh:a", "--limit", "3"), "number=2"),
        (("traces",), "a1b2c3d4e5f6"),
        (("tree",), "trace a1b2c3d4e5f6"),
        (("tree", "--trace", "a1b2c3d4e5f6"), "trace a1b2c3d4e5f6"),
        (("report",), "<html"),
    ],
)
def test_commands_ask_the_fleet_of_the_configuration(
    nats_config: NatsConfig, tmp_path: Path, arguments: tuple[str, ...], shown: str
) -> None:
    writer = RunWriter()
    for number in range(3):
        writer.event(
            causal_trace_id=f"a1b2c3d4e5f6/0000000{number + 1}", event_type="session.joined"
        )
    publish(nats_config, *messages_of(writer.records))
    config = tmp_path / "hypervisor.toml"
    config.write_text(
        f'[plugins.nats]\nservers = ["{nats_config.servers[0]}"]\n'
        f'stream = "{nats_config.stream}"\nsubject = "{nats_config.subject}"\n'
    )
    result = run_hvobs(*arguments, "--config", config)
    assert (result.exit_code, result.stderr) == (0, "")
    assert shown in result.stdout


texts = st.none() | st.sampled_from(["", "s", 's"', "é", "a\\u00e9", "\x00", "a1b2c3d4e5f6"])


@given(texts, texts, texts, st.sampled_from(list(EventType)), st.booleans())
def test_nothing_that_is_wanted_is_sifted_out(
    session: str | None, agent: str | None, trace: str | None, kind: EventType, escaped: bool
) -> None:
    event = HypervisorEvent(
        event_type=kind, session_id=session, agent_did=agent, causal_trace_id=trace
    )
    head: dict[str, Any] = {
        "event_type": kind.value,
        "session_id": session,
        "agent_did": agent,
        "causal_trace_id": trace,
    }
    (record,) = RunWriter().event(event.timestamp_ns, escaped=escaped, **head).records
    wanted = Wanted(
        event_type=kind.value,
        session_id=session,
        agent_did=agent,
        trace=None if trace is None else trace_key(trace),
        since_ns=event.timestamp_ns,
        until_ns=event.timestamp_ns,
    )
    assert wanted.covers(event)
    assert Sieve.of(wanted).lets_record(record)
    assert Sieve.of(wanted).lets(record.to_bytes())
