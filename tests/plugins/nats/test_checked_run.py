"""A run that arrives in messages is given once, in order, and only as far as it is proven."""

import json
from collections.abc import Iterable
from typing import Any

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from hypervisor_journal.format.frames import EVENT, Record
from hypervisor_nats.messages import Head
from hypervisor_nats.runs.checked_run import CheckedRun, Taken
from tests.plugins.nats.arrivals import (
    RUN,
    Message,
    RunWriter,
    events,
    forged,
    message,
    messages_of,
    numbers_of,
    records_in,
    renamed,
)


def arrived(messages: Iterable[Message], run: CheckedRun | None = None) -> list[Taken]:
    run = run or CheckedRun(RUN)
    return [run.take(head, data) for head, data in messages]


def given_by(taken: Iterable[Taken]) -> list[int]:
    return [record.sequence for one in taken for record in one.records]


def problems_of(taken: Iterable[Taken]) -> list[str]:
    return [one.problem for one in taken if one.problem is not None]


@st.composite
def runs(draw: st.DrawFn) -> list[Record]:
    """Records of a run, of all kinds."""
    writer = RunWriter()
    for kind in draw(st.lists(st.sampled_from("eeeexgn"), min_size=1, max_size=20)):
        if kind == "g":
            writer.gap(draw(st.integers(1, 5)))
        elif kind == "n":
            writer.note()
        else:
            writer.event(draw(st.integers(-(10**9), 10**18)))
            if kind == "x":
                writer.erase_last()
    return writer.records


@st.composite
def deliveries(draw: st.DrawFn) -> tuple[list[Record], list[Message]]:
    """A run in messages that overlap and are repeated, as several shippers would have sent them,
    one after another.
    """
    records = draw(runs())
    whole = messages_of(records, range(len(records)))
    arrive: list[Message] = []
    have = 0  # how many of the smallest messages were sent
    while have < len(whole):
        start = draw(st.integers(0, have))
        end = draw(st.integers(start + 1, len(whole)))
        parts = whole[start:end]
        together = [record for _, data in parts for record in records_in(data)]
        head = parts[0][0]
        ended = end == len(whole)
        arrive.append(message(together, first=head.first, chain=head.chain, ended=ended))
        have = max(have, end)
    return records, [*arrive, *draw(st.lists(st.sampled_from(arrive), max_size=3))]


@given(deliveries())
def test_run_is_given_once_however_it_is_split_and_repeated(
    delivery: tuple[list[Record], list[Message]],
) -> None:
    records, messages = delivery
    run = CheckedRun(RUN)
    taken = []
    for head, data in messages:
        taken.append(run.take(head, data))
        run = CheckedRun.from_json(json.loads(json.dumps(run.to_json())))  # as a replica continues

    assert not problems_of(taken)
    assert not any(one.missing or one.unverified for one in taken)
    assert [record for one in taken for record in one.records] == [
        record for record in records if record.kind == EVENT
    ]
    assert run.ended
    assert run.next == sum(numbers_of(record) for record in records)


def changed(message: Message, draw: st.DrawFn) -> Message:
    """Change a byte of the records, or one of the headers that say what they are."""
    head, data = message
    place = draw(st.integers(0, len(data) + 6 * bool(head.count)))
    if place < len(data):
        return head, data[:place] + bytes([data[place] ^ draw(st.integers(1, 255))]) + data[
            place + 1 :
        ]
    odd = draw(st.sampled_from(["first", "next", "count", "chain", "then", "from_ns", "until_ns"]))
    now = getattr(head, odd)
    other = bytes(32) if isinstance(now, bytes) else now + draw(st.integers(1, 1_000))
    if other == now:  # the chain value before a run
        other = b"\1" * 32
    odd_values: dict[str, Any] = {odd: other}
    return evolve(head, **odd_values), data


@st.composite
def tampered(draw: st.DrawFn) -> tuple[list[Record], list[Message]]:
    """A run in messages of which one was changed, dropped, swapped or added."""
    records = draw(runs().filter(lambda found: any(one.kind == EVENT for one in found)))
    cuts = draw(st.lists(st.integers(0, len(records) - 1)))
    messages = messages_of(records, cuts)
    at = draw(st.integers(0, len(messages) - 1))
    what = draw(st.sampled_from(["change", "drop", "drop a record", "swap", "another run's"]))
    if what == "change":
        messages[at] = changed(messages[at], draw)
    elif what == "drop":
        del messages[at]
    elif what == "swap" and at + 1 < len(messages):
        messages[at], messages[at + 1] = messages[at + 1], messages[at]
    elif what == "another run's":
        at = max(1, at)
        before = messages[at - 1][0]
        other = RunWriter(b"\1" * 32, before.next).event().records
        messages.insert(at, message(other, chain=b"\1" * 32))
    else:
        head, data = messages[at]
        left = records_in(data)
        if left:
            del left[draw(st.integers(0, len(left) - 1))]
        messages[at] = head, b"".join(record.to_bytes() for record in left)
    return records, messages


@pytest.mark.fault("N9")
@given(tampered())
def test_nothing_is_given_from_a_bad_place_on(
    case: tuple[list[Record], list[Message]],
) -> None:
    records, messages = case
    run = CheckedRun(RUN)
    taken = arrived(messages, run)

    right = {record.sequence: record for record in records if record.kind == EVENT}
    found = [record for one in taken for record in one.records]
    assert all(right[record.sequence] == record for record in found)
    assert [one.sequence for one in found] == sorted({one.sequence for one in found})
    whole = found == list(right.values())
    told = bool(problems_of(taken)) or any(one.missing for one in taken)
    cut_off = run.begins or not run.ended
    assert whole or told or cut_off
    if run.bad_at is not None:
        assert all(one.sequence < run.bad_at for one in found)
        assert not run.take(*messages_of(events(1))[0]).records


def test_message_that_repeats_the_end_of_a_run_says_nothing_new() -> None:
    records = RunWriter().event().note().records
    whole = messages_of(records)
    run = CheckedRun(RUN)

    taken = arrived(
        [*whole, *whole, message([], first=1, chain=run_chain(records), ended=True)], run
    )

    assert given_by(taken) == [0]
    assert not problems_of(taken)


def run_chain(records: list[Record]) -> bytes:
    return [record.chain for record in records if numbers_of(record)][-1]


def test_numbers_that_never_came_are_reported_and_the_run_continues() -> None:
    messages = messages_of(events(9), [2, 5])
    del messages[1]
    run = CheckedRun(RUN)

    taken = arrived(messages, run)

    assert given_by(taken) == [0, 1, 2, 6, 7, 8]
    assert [one.missing for one in taken] == [0, 3]
    assert run.bad is None


def test_run_whose_beginning_has_gone_begins_later() -> None:
    run = CheckedRun(RUN)

    taken = arrived(messages_of(events(9), [2, 5])[1:], run)

    assert given_by(taken) == [3, 4, 5, 6, 7, 8]
    assert not any(one.missing for one in taken)
    assert run.begins == 3


def test_numbers_that_an_earlier_writer_lost_are_not_missing() -> None:
    """Earlier releases wrote no gap for them: the next record follows in the chain."""
    writer = RunWriter()
    before = message(events(2, writer))
    records = events(1, RunWriter(writer.chain, 5))
    run = CheckedRun(RUN)

    taken = arrived([before, message(records, first=5, chain=writer.chain)], run)

    assert given_by(taken) == [0, 1, 5]
    assert not any(one.missing for one in taken)
    assert run.walk.lost == 3


def test_same_numbers_with_other_records_spoil_the_run() -> None:
    first = messages_of(events(4), ended=False)
    others = RunWriter()
    again = message(events(4, others))
    more = message(events(2, RunWriter(others.chain, 4)), chain=others.chain)
    run = CheckedRun(RUN)

    taken = arrived([*first, again, more], run)

    assert given_by(taken) == [0, 1, 2, 3]
    assert [one.unverified for one in taken] == [0, 4, 2]
    assert problems_of(taken)[0] == "number 4: the same numbers came with other records"
    assert (run.bad_at, run.ended) == (4, False)


def test_repeat_that_continues_differently_spoils_the_run() -> None:
    """Its first records are repeated, and its seam is not the one that was reached."""
    other = events(6)
    run = CheckedRun(RUN)

    taken = arrived([message(events(4)), message(other)], run)

    assert given_by(taken) == [0, 1, 2, 3]
    assert problems_of(taken) == ["number 4: the same numbers came with other records"]
    assert taken[1].unverified == 6


def test_gap_that_swallows_what_came_spoils_the_run() -> None:
    run = CheckedRun(RUN)

    taken = arrived([message(events(4)), message(RunWriter().gap(9).event().records)], run)

    assert given_by(taken) == [0, 1, 2, 3]
    assert problems_of(taken) == ["number 4: it repeats records in another way"]


def test_record_with_a_right_checksum_that_was_changed_is_named() -> None:
    messages = messages_of(events(9), [4])
    messages[1] = forged(messages[1], 2, b'{"number":99}')
    run = CheckedRun(RUN)

    taken = arrived(messages, run)

    assert given_by(taken) == [0, 1, 2, 3, 4, 5, 6]
    assert run.bad_at == 7
    assert taken[1].problem == "number 7: the record is not what was written"
    assert taken[1].unverified == 2


def test_damaged_repeat_takes_nothing_from_what_was_proven() -> None:
    messages = messages_of(events(6), [2])
    broken = messages[0][0], messages[0][1][:-1]
    run = CheckedRun(RUN)

    taken = arrived([messages[0], broken, messages[1]], run)

    assert given_by(taken) == [0, 1, 2, 3, 4, 5]
    assert "the record is cut off" in problems_of(taken)[0]
    assert run.bad is None


def test_nothing_comes_behind_the_end_of_a_run() -> None:
    writer = RunWriter()
    ended = message(events(2, writer), ended=True)
    run = CheckedRun(RUN)

    taken = arrived(
        [ended, message(events(1, RunWriter(writer.chain, 2)), chain=writer.chain)], run
    )

    assert given_by(taken) == [0, 1]
    assert "behind the end" in problems_of(taken)[0]


def test_run_of_which_only_its_end_is_known_takes_repeats_and_nothing_else() -> None:
    writer = RunWriter()
    whole = messages_of(events(4, writer), [1])
    run = CheckedRun(RUN, 4, None, ended=True)

    assert not problems_of(arrived([*whole, message([], first=4, ended=True)], run))
    assert not given_by(arrived(whole, run))
    more = message(events(1, RunWriter(writer.chain, 4)), chain=writer.chain)
    assert "behind the end" in problems_of(arrived([more], run))[0]


def test_run_that_begins_with_nothing_before_it_begins_its_chain() -> None:
    run = CheckedRun(RUN)

    taken = arrived([message(events(1, RunWriter(b"\1" * 32)), chain=b"\1" * 32)], run)

    assert not given_by(taken)
    assert run.bad == "number 0: another record came before the first one"


def test_message_of_another_run_is_not_taken() -> None:
    run = CheckedRun(RUN)
    (whole,) = messages_of(events(2))

    taken = arrived([renamed(whole, "another"), whole], run)

    assert problems_of(taken) == ["a message of the run another"]
    assert given_by(taken) == [0, 1]


@pytest.mark.parametrize("name", ["name", "next", "chain", "ended"])
def test_state_without_a_part_is_refused(name: str) -> None:
    values = CheckedRun(RUN).to_json()
    del values[name]

    with pytest.raises(KeyError):
        CheckedRun.from_json(values)


def test_head_comes_back_as_it_was() -> None:
    for head, _ in messages_of(events(4), [1]):
        assert Head.from_headers(head.to_headers()) == head
