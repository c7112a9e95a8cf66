"""Whatever a run holds, its messages hold it all, and a reader finds nothing wrong with them."""

from collections.abc import Iterator, Sequence

from hypothesis import given
from hypothesis import strategies as st

from hypervisor_journal.format.frames import EVENT, NOTE, Record
from hypervisor_journal.reading.raw_run import Place, Raw, number_behind
from hypervisor_nats.messages import records_of
from hypervisor_nats.runs.checked_run import CheckedRun
from hypervisor_nats.shipping.packing import Bounds, Packed, pack
from tests.plugins.nats.arrivals import RUN, RunWriter

LIMIT = 2_000

kinds = st.one_of(
    st.tuples(st.just("event"), st.integers(0, 2 * LIMIT)),
    st.tuples(st.just("gap"), st.integers(1, 9)),
    st.tuples(st.just("note"), st.just(0)),
    st.tuples(st.just("lost"), st.integers(1, 5)),  # so many records cannot be read
)
bounds = st.builds(
    Bounds,
    max_events=st.integers(1, 5),
    max_bytes=st.integers(1, LIMIT),
    limit_bytes=st.just(LIMIT),
)


def raws_of(kinds: Sequence[tuple[str, int]]) -> list[Raw]:
    """Write a run of such records; give those that can be read."""
    writer, lost, raws = RunWriter(), 0, list[Raw]()
    before = Place()
    for kind, size in kinds:
        if kind == "lost":
            lost += size
            continue
        if kind == "event":
            writer.event(payload={"text": "x" * size})
        elif kind == "gap":
            writer.gap(size)
        else:
            writer.note()
        record = writer.records[-1]
        behind = Place(number_behind(record), record.chain)
        if lost:
            lost -= 1
        else:
            raws.append(Raw(before, record, behind))
        before = behind
    return raws


def behind(raws: Sequence[Raw], place: Place) -> Iterator[Raw]:
    """Give the records behind a place, as a reader of a run does."""
    found = place == Place()
    for raw in raws:
        if found or raw.behind.sequence > place.sequence:
            yield raw
        found = found or raw.behind == place


def packed_whole(raws: Sequence[Raw], bounds: Bounds) -> list[Packed]:
    """Pack a dead run, one message after the other, to its end."""
    place, found = Place(), list[Packed]()
    while not (found and found[-1].head is not None and found[-1].head.ended):
        one = pack(RUN, place, behind(raws, place), bounds, dead=True)
        assert one.moves
        found.append(one)
        place = one.behind
    return found


def takes_number(record: Record) -> bool:
    return number_behind(record) > record.sequence


@given(st.lists(kinds, max_size=30), bounds)
def test_messages_keep_the_rules(kinds: Sequence[tuple[str, int]], bounds: Bounds) -> None:
    raws = raws_of(kinds)

    for one in packed_whole(raws, bounds):
        if one.head is None:
            continue
        records = list(records_of(one.data))
        events = [record for record in records if record.kind == EVENT]
        assert one.head.count == len(events) <= bounds.max_events
        assert len(one.data) <= bounds.limit_bytes
        assert one.head.ended or takes_number(records[-1])
        if len([record for record in records if takes_number(record)]) > 1:
            assert len(one.data) <= bounds.max_bytes or one.head.ended
        chain = one.head.chain
        for record in records:
            assert record.follows(chain)
            chain = record.chain


@given(st.lists(kinds, max_size=30), bounds)
def test_reader_finds_nothing_wrong_and_all_that_was_not_passed_over(
    kinds: Sequence[tuple[str, int]], bounds: Bounds
) -> None:
    raws = raws_of(kinds)

    found = packed_whole(raws, bounds)

    run, taken = CheckedRun(RUN), list[int]()
    for one in found:
        if one.head is not None:
            answer = run.take(one.head, one.data)
            assert answer.problem is None
            taken += [record.sequence for record in answer.records]
    there = [raw.record.sequence for raw in raws if raw.record.kind == EVENT]
    assert run.ended
    assert taken == sorted(set(taken))
    assert set(taken) <= set(there)
    passed_over = sum(one.gone + one.too_large for one in found)
    assert len(there) - len(taken) <= passed_over


@given(st.lists(kinds.filter(lambda kind: kind[0] != "lost"), max_size=30))
def test_run_that_can_be_read_whole_comes_whole(kinds: Sequence[tuple[str, int]]) -> None:
    raws = raws_of(kinds)

    found = packed_whole(raws, Bounds(3, LIMIT, 10 * LIMIT))

    sent = [record for one in found for record in records_of(one.data)]
    assert sent == [raw.record for raw in raws]
    assert not any(one.gone or one.too_large for one in found)


def test_living_run_is_packed_up_to_its_last_number() -> None:
    raws = raws_of([("event", 1), ("note", 0)])

    one = pack(RUN, Place(), raws, Bounds(9, LIMIT, LIMIT), dead=False)

    assert one.head is not None
    assert (one.head.next, one.head.ended) == (1, False)
    assert [record.kind for record in records_of(one.data)] == [EVENT]
    assert not pack(RUN, one.behind, raws[1:], Bounds(9, LIMIT, LIMIT), dead=False).moves
    last = pack(RUN, one.behind, raws[1:], Bounds(9, LIMIT, LIMIT), dead=True)
    assert [record.kind for record in records_of(last.data)] == [NOTE]
