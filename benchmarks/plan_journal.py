"""The cases of the journal: what writing it costs, and how fast it is read."""

from benchmarks.goals import Case, Environment, Goal, Row, Side, Unit

_OURS = Environment.OURS
_GROUP = "Journal"
_MIB = 1024 * 1024


def journal_cases(*, quick: bool) -> list[Case]:
    """Appending, emitting with a journal, proving, asking."""
    return [
        _alone(
            "journal-append",
            "appending",
            Row(title="append an event", unit=Unit.PER_SECOND, goal=Goal(limit=1 / 100_000)),
            events=20_000 if quick else 100_000,
        ),
        _emitting(msgspec=False, times=8, quick=quick),
        _emitting(msgspec=True, times=3, quick=quick),
        _alone(
            "journal-verify",
            "verifying",
            Row(
                title="prove a record of two payload keys",
                measure="record",
                unit=Unit.PER_SECOND,
                goal=Goal(limit=1 / 200_000),
            ),
            rounds=5,
            events=20_000 if quick else 200_000,
        ),
        _verifying_much(quick=quick),
        _querying(100_000 if quick else 1_000_000),
    ]


def _alone(name: str, module: str, *rows: Row, rounds: int = 9, **options: object) -> Case:
    return Case(
        name=name,
        group=_GROUP,
        other_name="",
        ours=Side(_OURS, module, dict(options)),
        other=None,
        rows=rows,
        rounds=rounds,
    )


def _emitting(*, msgspec: bool, times: float, quick: bool) -> Case:
    options = {"events": 10_000 if quick else 50_000, "msgspec": msgspec}
    return Case(
        name="journal-emit-msgspec" if msgspec else "journal-emit",
        group=_GROUP,
        other_name="without",
        ours=Side(_OURS, "emitting_with_journal", {**options, "journal": True}),
        other=Side(_OURS, "emitting_with_journal", {**options, "journal": False}),
        rows=(
            Row(
                title=f"create + emit with a journal, {'with' if msgspec else 'without'} msgspec",
                measure="thread",
                goal=Goal(cost=times),
            ),
        ),
        rounds=9,
    )


def _verifying_much(*, quick: bool) -> Case:
    events = 50_000 if quick else 1_048_576
    return _alone(
        "journal-gigabyte",
        "verifying",
        Row(
            title=f"prove {events:,} records of 1 KiB",
            measure="all",
            unit=Unit.SECONDS,
            goal=Goal(limit=15.0),
        ),
        Row(
            title="memory that this needs at most",
            measure="resident",
            unit=Unit.MIB,
            goal=Goal(limit=64.0 * _MIB),
        ),
        rounds=1,
        events=events,
        record_bytes=1024,
    )


def _querying(events: int) -> Case:
    return Case(
        name="journal-query",
        group=_GROUP,
        other_name="without",
        ours=Side(_OURS, "asking_a_journal", {"events": events, "indexed": True}),
        other=Side(_OURS, "asking_a_journal", {"events": events, "indexed": False}),
        rows=(
            Row(
                title=f"the events of one session of 1,000, of {events:,} (other: no index)",
                measure="session",
                unit=Unit.MILLISECONDS,
                goal=Goal(times=20),
            ),
            Row(
                title="the first question, which makes the index",
                measure="first",
                unit=Unit.MILLISECONDS,
                goal=Goal(cost=1.5),
            ),
        ),
        rounds=1,
        fresh=True,
    )
