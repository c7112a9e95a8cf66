"""The cases of the bus: what goes against agent-hypervisor, and against our own bus alone."""

from typing import Any

from benchmarks.goals import Case, Environment, Goal, Row, Side, Unit

PEER_NAME = "agent-hypervisor"
_MS, _MIB = Unit.MILLISECONDS, Unit.MIB
_SECONDS_PER_MS = 1e-3


def against_peer(
    name: str,
    module: str,
    rows: tuple[Row, ...],
    *,
    group: str,
    rounds: int = 9,
    fresh: bool = False,
    full_only: bool = False,
    ours: dict[str, object] | None = None,
    **options: Any,
) -> Case:
    """The same case in both environments; *ours* holds what differs on our side."""
    return Case(
        name=name,
        group=group,
        other_name=PEER_NAME,
        ours=Side(Environment.OURS, module, {**options, **(ours or {})}),
        other=Side(Environment.PEER, module, options),
        rows=rows,
        rounds=rounds,
        fresh=fresh,
        full_only=full_only,
    )


def bus_cases(*, quick: bool) -> list[Case]:
    """Emitting, ids, memory, questions, import."""
    events = 10_000 if quick else 30_000
    stored = 100_000 if quick else 300_000
    sessions = 100_000 if quick else 600_000
    return [
        *_emitting(events),
        against_peer(
            "memory",
            "memory",
            (
                Row(
                    title=f"memory of a stored event ({stored:,} kept)",
                    measure="per_event",
                    unit=Unit.BYTES,
                    goal=Goal(times=1.25),
                ),
            ),
            group="Memory",
            rounds=3,
            fresh=True,
            events=stored,
        ),
        against_peer(
            "sessions",
            "memory",
            (
                Row(
                    title=f"growth in {sessions:,} sessions with max_events=10_000",
                    measure="growth",
                    unit=_MIB,
                    goal=Goal(below=20 * _MIB.value[1]),
                ),
            ),
            group="Memory",
            rounds=1,
            fresh=True,
            events=sessions,
            sessions=True,
        ),
        _querying(stored, full_only=False),
        _querying(1_000_000, full_only=True),
        against_peer(
            "import",
            "importing",
            (Row(title="import", unit=_MS, goal=Goal(times=1.5, below=80 * _SECONDS_PER_MS)),),
            group="Import",
            ours={"package": "hypervisor_observability"},
            package="hypervisor.observability",
        ),
    ]


def _emitting(events: int) -> list[Case]:
    def emitting(
        name: str,
        title: str,
        times: float,
        *,
        ours: dict[str, object] | None = None,
        **more: Any,
    ) -> Case:
        row = Row(title=title, goal=Goal(times=times))
        return against_peer(
            name, "emitting", (row,), group="Emit", ours=ours, events=events, **more
        )

    return [
        emitting("create", "create + emit", 4),
        emitting("record", "`bus.record(...)` (peer: create + emit)", 6, ours={"how": "record"}),
        emitting("subscribers", "create + emit, 3 subscribers", 4, subscribers=3),
        emitting("threads", "create + emit, 16 threads", 4, threads=16),
        emitting("full", "create + emit, 100,000 kept, each drops one", 4, full=True),
        against_peer(
            "ids",
            "causal_ids",
            (
                Row(title="`CausalTraceId()`", measure="root", goal=Goal(times=6)),
                Row(title="`.child()`", measure="child", goal=Goal(times=6)),
            ),
            group="Emit",
            ids=events,
        ),
        Case(
            name="steps",
            group="Emit",
            other_name="two events by hand",
            ours=Side(
                Environment.OURS, "recording_steps", {"steps": events // 2, "recorder": True}
            ),
            other=Side(
                Environment.OURS, "recording_steps", {"steps": events // 2, "recorder": False}
            ),
            rows=(
                Row(
                    title="a step by the recorder, against two events by hand",
                    measure="step",
                    goal=Goal(cost=3),
                ),
            ),
            rounds=11,
        ),
    ]


def _querying(events: int, *, full_only: bool) -> Case:
    rows = [
        Row(
            title="`query(event_type, session_id, agent_did, limit=10)`",
            measure="query",
            goal=Goal(times=500),
        ),
        Row(title="the same, where nothing matches", measure="nothing"),
        Row(title="the first query (ours builds indexes)", measure="first", unit=_MS),
        Row(
            title="`query_by_time_range`, newest 1 %",
            measure="time_range",
            unit=_MS,
            goal=Goal(times=20),
        ),
        *(
            Row(
                title=f"`query_by_{what}`, reading id, time and payload",
                measure=what,
                unit=_MS,
                goal=Goal(times=0.25),
            )
            for what in ("session", "agent", "type")
        ),
    ]
    return against_peer(
        f"query-{events}",
        "querying",
        tuple(rows),
        group=f"Questions to {events:,} events",
        rounds=5 if full_only else 9,
        full_only=full_only,
        events=events,
        repeats=20,
    )
