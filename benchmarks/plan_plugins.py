"""The cases of plugins: what they cost whoever emits, and how fast they export."""

from benchmarks.goals import Case, Environment, Goal, Row, Side, Unit

_OURS, _NEIGHBOURS = Environment.OURS, Environment.NEIGHBOURS
_SINKS = ("otlp", "udp", "hung")
_GROUP = "Plugins, for the thread that emits"
_EXPORT = "Export"


def emitting_cases(*, quick: bool) -> list[Case]:
    """``emit`` beside running plugins, and its longest pauses."""
    events = 10_000 if quick else 40_000
    alone = Side(_OURS, "with_plugins", {"events": events})
    return [
        *(
            Case(
                name=f"plugins-{4 * sets}",
                group=_GROUP,
                other_name="our bus alone",
                ours=Side(_OURS, "with_plugins", {"events": events, "sets": sets}),
                other=alone,
                rows=(
                    Row(
                        title=f"`emit`, {4 * sets} plugins running",
                        measure="emit",
                        goal=Goal(cost=1.3),
                    ),
                    Row(
                        title=f"`bus.record(...)`, {4 * sets} plugins running",
                        measure="record",
                        goal=Goal(cost=1.3),
                    ),
                ),
                rounds=11,
                sinks=_SINKS,
            )
            for sets in (1, 3)
        ),
        Case(
            name="hung",
            group=_GROUP,
            other_name="",
            ours=Side(
                _OURS,
                "with_plugins",
                {"events": 3_000 if quick else 10_000, "sets": 1, "hung": True, "paced": True},
            ),
            other=None,
            rows=(
                Row(
                    title="p99 of `emit` (wall), 4 plugins, one of them hung",
                    measure="p99",
                    goal=Goal(below=50e-6),
                ),
                Row(title="its median", measure="median"),
            ),
            rounds=3,
            sinks=_SINKS,
        ),
        _pauses(collecting=False, quick=quick),
        _pauses(collecting=True, quick=quick),
    ]


def _pauses(*, collecting: bool, quick: bool) -> Case:
    options = {"events": 20_000 if quick else 200_000, "collecting": collecting}
    collector = "on" if collecting else "off"
    return Case(
        name=f"pauses-{collector}",
        group=_GROUP,
        other_name="agent-hypervisor",
        ours=Side(_OURS, "pauses", options),
        other=Side(Environment.PEER, "pauses", options),
        rows=(
            Row(
                title=f"longest single `emit` of {options['events']:,}, collector {collector}",
                unit=Unit.MILLISECONDS,
                goal=None if collecting else Goal(below=1e-3),
                smallest=True,
            ),
        ),
        rounds=3,
    )


def export_cases(*, quick: bool) -> list[Case]:
    """The way out of each plugin, against the backend's own library."""
    spans = 2_048 if quick else 8_192
    lines = 2_000 if quick else 10_000
    return [
        _scraping(2_000, None),
        _scraping(10_000, Goal(cost=0.6)),
        _scraping_agents(agents=600, samples=4_000),
        _spans("records", "spans to an OTLP receiver, from finished records", spans, Goal(times=5)),
        _spans("events", "the same, from the recorder on", spans, sdk="sdk-nested"),
        Case(
            name="statsd",
            group=_EXPORT,
            other_name="statsd, call by call",
            ours=Side(_OURS, "sending_lines", {"side": "ours", "lines": lines}),
            other=Side(_NEIGHBOURS, "sending_lines", {"side": "theirs", "lines": lines}),
            rows=(
                Row(title="StatsD lines", unit=Unit.PER_SECOND, goal=Goal(times=10)),
                Row(
                    title=f"StatsD lines lost, of {lines:,}",
                    measure="lost",
                    unit=Unit.LINES,
                    goal=Goal(limit=0),
                ),
            ),
            rounds=7,
            sinks=("udp",),
        ),
        *_whole_way(spans),
    ]


def _scraping(series: int, goal: Goal | None) -> Case:
    return Case(
        name=f"scrape-{series}",
        group=_EXPORT,
        other_name="prometheus_client's own metrics",
        ours=Side(_OURS, "scraping", {"side": "ours", "series": series}),
        other=Side(_NEIGHBOURS, "scraping", {"side": "native", "series": series}),
        rows=(Row(title=f"scrape of {series:,} series", unit=Unit.MILLISECONDS, goal=goal),),
    )


def _scraping_agents(*, agents: int, samples: int) -> Case:
    goal = Goal(below=50e-3)
    title = f"scrape of {samples:,} samples of {agents} agents, all values new"
    return Case(
        name="scrape-agents",
        group=_EXPORT,
        other_name="",
        ours=Side(_OURS, "scraping_agents", {"agents": agents, "samples": samples}),
        other=None,
        rows=(
            Row(title=title, measure="text", unit=Unit.MILLISECONDS, goal=goal),
            Row(
                title="the same in OpenMetrics, with all exemplars new",
                measure="openmetrics",
                unit=Unit.MILLISECONDS,
                goal=goal,
            ),
        ),
    )


def _whole_way(spans: int) -> list[Case]:
    """What readers cost the process in which events are recorded."""
    spans = spans // 2
    none, null = ({"plugins": plugins, "spans": spans} for plugins in ([], ["spans"]))
    events = {"plugins": ["events"], "spans": spans, "one_more": "events"}
    otel = {"plugins": ["otel"], "spans": spans, "one_more": "otel"}
    cases = [
        (
            "span-plugin",
            null,
            none,
            "a plugin for spans that does nothing",
            "event",
            Goal(cost=1.8),
        ),
        ("one-more-otel", otel, None, "a second OTLP plugin, a span", "span", Goal(limit=60e-6)),
        ("one-more-events", events, None, "a second plugin for events", "event", Goal(limit=3e-6)),
    ]
    return [
        Case(
            name=name,
            group="Readers, CPU time of the whole process",
            other_name="no plugin",
            ours=Side(_OURS, "whole_way", options),
            other=None if other is None else Side(_OURS, "whole_way", other),
            rows=(Row(title=title, measure=measure, goal=goal),),
            rounds=7,
            sinks=("otlp",),
        )
        for name, options, other, title, measure, goal in cases
    ]


def _spans(
    side: str, title: str, spans: int, goal: Goal | None = None, *, sdk: str = "sdk"
) -> Case:
    return Case(
        name=f"otlp-{side}",
        group=_EXPORT,
        other_name="OpenTelemetry's SDK",
        ours=Side(_OURS, "exporting_spans", {"side": side, "spans": spans}),
        other=Side(_NEIGHBOURS, "exporting_spans", {"side": sdk, "spans": spans}),
        rows=(
            Row(title=title, measure="wall", unit=Unit.PER_SECOND, goal=goal),
            Row(
                title="its CPU time a span, in the sender",
                measure="cpu",
                goal=None if goal else Goal(times=1.3),
            ),
        ),
        rounds=7,
        sinks=("otlp",),
    )


def neighbour_cases(*, quick: bool) -> list[Case]:
    """Libraries that people have already, for scale."""
    events = 5_000 if quick else 20_000
    titles = {
        "structlog": "structlog, to JSON",
        "eliot": "eliot, to JSON",
        "logging": "logging, formatted",
        "blinker": "blinker, `send` to one receiver",
        "otel": "OpenTelemetry, a span to a BatchSpanProcessor",
    }
    return [
        Case(
            name=library,
            group="Neighbours, for scale (ours: `bus.record(...)`)",
            other_name=title,
            ours=Side(
                _OURS,
                "emitting",
                {"how": "record", "events": events, "subscribers": int(library == "blinker")},
            ),
            other=Side(_NEIGHBOURS, "neighbours", {"library": library, "events": events}),
            rows=(Row(title=title),),
            rounds=5,
        )
        for library, title in titles.items()
    ]
