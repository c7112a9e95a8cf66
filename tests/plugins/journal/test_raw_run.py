"""A run is read on from any place, whatever happened to its segments meanwhile."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from hypervisor_journal.format.frames import EVENT, HEADER_BYTES, NOTE, SegmentHeader
from hypervisor_journal.reading.raw_run import Place, Raw, RawRun
from hypervisor_journal.reading.segment_reader import Damage, SegmentReader
from hypervisor_journal.runs.run_listing import RunListing
from hypervisor_journal.runs.runs import Run
from tests.plugins.journal.journals import append, damage_second_record, write_run
from tests.waiting import wait_until

TEXT = "x" * 1_000
"""With it, a segment has some fifty events."""


def of(run: Run) -> RawRun:
    return RawRun(run, lambda _: None)


def numbers(raws: Sequence[Raw]) -> list[int]:
    return [raw.record.sequence for raw in raws if raw.record.kind == EVENT]


def without_offset(place: Place) -> Place:
    """Give a place as a file keeps it."""
    return Place(place.sequence, place.chain)


def test_reading_continues_from_every_place(tmp_path: Path) -> None:
    run, _ = write_run(tmp_path, range(150), text=TEXT)
    whole = list(of(run).records(Place()))

    assert numbers(whole) == list(range(150))
    assert len(run.segments()) > 2
    for count, raw in enumerate(whole, 1):
        assert list(of(run).records(raw.behind)) == whole[count:]
        if count % 10 == 0 or raw.behind.segment != whole[min(count, 149)].behind.segment:
            assert list(of(run).records(without_offset(raw.behind))) == whole[count:]


def test_records_of_all_kinds_come_as_they_stand(tmp_path: Path) -> None:
    run, writer = write_run(tmp_path, range(3), end="living")
    writer.note(kind="clock_stepped", step_seconds=1.0)
    append(writer, 3)
    writer.close()

    raws = list(of(run).records(Place()))

    assert [raw.record.kind for raw in raws] == [EVENT, EVENT, EVENT, NOTE, EVENT]
    data = run.segment_path(0).read_bytes()
    assert data[HEADER_BYTES:] == b"".join(raw.record.to_bytes() for raw in raws)


def test_notes_at_the_end_of_a_segment_are_found_behind_the_place_before_them(
    tmp_path: Path,
) -> None:
    run, writer = write_run(tmp_path, range(40), end="living", text=TEXT)
    while len(run.segments()) < 2:
        writer.note(kind="clock_stepped", step_seconds=1.0)
    append(writer, 40)
    writer.close()
    whole = list(of(run).records(Place()))

    assert run.segments()[1][0] == 1
    assert list(of(run).records(without_offset(whole[39].behind))) == whole[40:]


def test_reader_at_the_end_sees_what_is_appended(tmp_path: Path) -> None:
    run, writer = write_run(tmp_path, range(3), end="living", text=TEXT)
    raw_run = of(run)
    place = list(raw_run.records(Place()))[-1].behind

    assert not raw_run.may_go_on(place)
    append(writer, *range(3, 120), text=TEXT)
    assert raw_run.may_go_on(place)
    assert numbers(list(raw_run.records(place))) == list(range(3, 120))
    assert raw_run.end == 120
    writer.close()


def test_reader_at_the_end_of_a_full_segment_continues_in_the_next(tmp_path: Path) -> None:
    run, writer = write_run(tmp_path, range(150), text=TEXT)
    whole = list(of(run).records(Place()))
    last = next(raw for raw in whole if raw.behind.sequence == SegmentReader(
        run.segment_path(1)).header().first_sequence)  # fmt: skip

    assert of(run).may_go_on(last.behind)
    assert numbers(list(of(run).records(last.behind)))[0] == last.behind.sequence
    del writer


def test_segment_that_repeats_records_gives_none_twice(tmp_path: Path) -> None:
    run, _ = write_run(tmp_path, range(10))
    before = list(of(run).records(Place()))
    place = before[-1].behind
    # As earlier releases did after an error: the next segment repeats numbers from 6 on.
    header = SegmentHeader(run.id, 1, 6, before[5].record.chain, 0)
    repeated = b"".join(raw.record.to_bytes() for raw in before[6:])
    run.segment_path(1).write_bytes(header.to_bytes() + repeated)

    assert numbers(list(of(run).records(Place()))) == list(range(10))
    assert list(of(run).records(place)) == []
    assert numbers(list(of(run).records(before[7].behind))) == [8, 9]


def test_segments_that_the_bounds_took_are_a_jump_in_numbers_and_chain(tmp_path: Path) -> None:
    run, _ = write_run(tmp_path, range(150), text=TEXT)
    whole = list(of(run).records(Place()))
    run.segment_path(0).unlink()

    rest = list(of(run).records(whole[4].behind))

    assert rest[0].before.chain != whole[4].behind.chain
    assert numbers(rest) == list(range(rest[0].before.sequence, 150))
    assert of(run).find(whole[4].behind) is None


def test_damage_is_reported_and_reading_continues_in_the_next_segment(tmp_path: Path) -> None:
    run, _ = write_run(tmp_path, range(150), text=TEXT)
    damage_second_record(run)
    told: list[Damage] = []

    found = numbers(list(RawRun(run, told.append).records(Place())))

    assert found[0] == 0
    assert found[1:] == list(range(found[1], 150))
    assert [damage.path for damage in told] == [run.segment_path(0)]


def test_place_of_another_chain_is_found_nowhere(tmp_path: Path) -> None:
    run, _ = write_run(tmp_path, range(10))
    strange = Place(5, b"\1" * 32)

    assert of(run).find(strange) is None
    assert numbers(list(of(run).records(strange))) == list(range(5, 10))
    assert of(run).find(Place()) == Place()


def test_run_that_has_gone_is_not_there(tmp_path: Path) -> None:
    run, _ = write_run(tmp_path, range(10))
    place = list(of(run).records(Place()))[-1].behind
    run.remove()

    assert of(run).may_go_on(place)
    with pytest.raises(FileNotFoundError):
        list(of(run).records(place))


def test_runs_are_listed_again_when_one_has_come(tmp_path: Path) -> None:
    listing = RunListing(tmp_path / "journal")
    assert listing.look() is None

    first, _ = write_run(tmp_path / "journal", range(3))
    assert listing.look() == [first.path.name]
    second, _ = write_run(tmp_path / "journal", range(3))
    assert listing.look() == sorted([first.path.name, second.path.name])
    wait_until(lambda: listing.look() is None, 60)
