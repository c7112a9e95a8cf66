"""Panels: what is asked, and how Grafana is to show the answer.

The field names are those of Grafana's published dashboard kind, schema version 39.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from attrs import evolve, field, frozen

Json = dict[str, Any]

METRICS_SOURCE: Json = {"type": "prometheus", "uid": "${datasource}"}
"""The data source that the reader of the dashboard chooses."""

_LEGEND = {"displayMode": "list", "placement": "bottom", "showLegend": True, "calcs": []}
_LAST: Json = {"calcs": ["lastNotNull"], "fields": "", "values": False}


@frozen
class Query:
    """A question to Prometheus.

    Attributes:
        promql: The question; ``$job`` and the like are Grafana's variables.
        legend: How a series is called; empty: by its labels.
        instant: Whether the present alone is asked for.
        shape: ``time_series``, ``table``, or ``heatmap`` for the buckets of a histogram.
        exemplars: Whether its examples are shown: dots that lead to traces.
    """

    promql: str
    legend: str = ""
    instant: bool = False
    shape: str = "time_series"
    exemplars: bool = False

    def target(self, letter: str) -> Json:
        """Give it as a panel holds it, under *letter*."""
        return {
            "refId": letter,
            "datasource": METRICS_SOURCE,
            "editorMode": "code",
            "expr": self.promql,
            "legendFormat": self.legend or "__auto",
            "instant": self.instant,
            "range": not self.instant,
            "format": self.shape,
            "exemplar": self.exemplars,
        }


@frozen
class Panel:
    """A panel without its place.

    Attributes:
        kind: Grafana's name of the way to show it.
        title: What stands above it.
        description: What it tells and how to read it.
        targets: What is asked, as Grafana holds it.
        width: Columns, of 24.
        height: Rows of the grid.
        source: Whom it asks.
        options: Of this kind of panel.
        defaults: How values are shown: unit, thresholds, bounds.
        overrides: The same for some of the fields.
        transformations: What happens to the answer first.
    """

    kind: str
    title: str
    description: str
    targets: tuple[Json, ...]
    width: int = 8
    height: int = 8
    source: Mapping[str, str] = field(factory=lambda: METRICS_SOURCE)
    options: Mapping[str, Any] = field(factory=dict)
    defaults: Mapping[str, Any] = field(factory=dict)
    overrides: tuple[Json, ...] = ()
    transformations: tuple[Json, ...] = ()

    def sized(self, width: int, height: int = 8) -> "Panel":
        """Give the panel in another size."""
        return evolve(self, width=width, height=height)


def targets(queries: Sequence[Query]) -> tuple[Json, ...]:
    """Give *queries* as a panel holds them: A, B and so on."""
    return tuple(query.target(chr(ord("A") + place)) for place, query in enumerate(queries))


def steps(*colours: tuple[float | None, str]) -> Json:
    """Colour values from bounds on; the first one is None, for all below the second."""
    return {
        "mode": "absolute",
        "steps": [{"value": bound, "color": colour} for bound, colour in colours],
    }


def lines(
    title: str, description: str, *queries: Query, unit: str = "short", stacked: bool = False
) -> Panel:
    """Show how values change, as lines."""
    custom: Json = {
        "drawStyle": "line",
        "lineInterpolation": "linear",
        "lineWidth": 1,
        "fillOpacity": 25 if stacked else 10,
        "showPoints": "auto",
        "spanNulls": False,
        "stacking": {"mode": "normal" if stacked else "none", "group": "A"},
    }
    return Panel(
        kind="timeseries",
        title=title,
        description=description,
        targets=targets(queries),
        options={"legend": _LEGEND, "tooltip": {"mode": "multi", "sort": "desc"}},
        defaults={
            "unit": unit,
            "min": 0,
            "custom": custom,
            "color": {"mode": "palette-classic-by-name"},
        },
    )


def numbers(
    title: str, description: str, *queries: Query, unit: str = "short", colours: Json | None = None
) -> Panel:
    """Show the present values, large."""
    return Panel(
        kind="stat",
        title=title,
        description=description,
        targets=targets(queries),
        options={
            "reduceOptions": _LAST,
            "colorMode": "value",
            "graphMode": "area",
            "justifyMode": "auto",
            "orientation": "auto",
            "textMode": "auto",
        },
        defaults={
            "unit": unit,
            "thresholds": colours or steps((None, "blue")),
            "color": {"mode": "thresholds"},
        },
    )


def dials(
    title: str, description: str, *queries: Query, bounds: tuple[float, float], colours: Json
) -> Panel:
    """Show the present values between two bounds."""
    return Panel(
        kind="gauge",
        title=title,
        description=description,
        targets=targets(queries),
        options={
            "reduceOptions": _LAST,
            "orientation": "auto",
            "showThresholdLabels": False,
            "showThresholdMarkers": True,
        },
        defaults={
            "unit": "short",
            "min": bounds[0],
            "max": bounds[1],
            "thresholds": colours,
            "color": {"mode": "thresholds"},
        },
    )


def pie(title: str, description: str, *queries: Query, colours: Mapping[str, str]) -> Panel:
    """Show shares of a whole; *colours* by the name of the series."""
    return Panel(
        kind="piechart",
        title=title,
        description=description,
        targets=targets(queries),
        options={
            "reduceOptions": _LAST,
            "pieType": "donut",
            "displayLabels": ["name", "percent"],
            "legend": {**_LEGEND, "values": ["value"]},
            "tooltip": {"mode": "single", "sort": "none"},
        },
        defaults={"unit": "short", "decimals": 0, "color": {"mode": "palette-classic"}},
        overrides=tuple(
            {
                "matcher": {"id": "byName", "options": name},
                "properties": [
                    {"id": "color", "value": {"mode": "fixed", "fixedColor": colour}},
                ],
            }
            for name, colour in colours.items()
        ),
    )


def bars(title: str, description: str, query: Query, *, unit: str = "short") -> Panel:
    """Show how many observations fell into each bucket of a histogram."""
    return Panel(
        kind="bargauge",
        title=title,
        description=description,
        targets=targets([query]),
        options={
            "reduceOptions": _LAST,
            "displayMode": "basic",
            "orientation": "vertical",
            "showUnfilled": True,
            "valueMode": "color",
        },
        defaults={
            "unit": unit,
            "min": 0,
            "decimals": 0,
            "color": {"mode": "continuous-BlPu"},
        },
    )


def table(
    title: str,
    description: str,
    promql: str,
    *,
    columns: Mapping[str, str],
    unit: str = "short",
    colours: Json | None = None,
    words: Mapping[str, str] | None = None,
) -> Panel:
    """Show a row for each series.

    Args:
        title: What stands above it.
        description: What it tells.
        promql: The question, about the present.
        columns: The labels to show, with their headings; ``Value`` is the value.
        unit: Of the value.
        colours: Of the value.
        words: Shown in place of values.
    """
    mapped: Json = {
        "type": "value",
        "options": {
            value: {"index": place, "text": word}
            for place, (value, word) in enumerate((words or {}).items())
        },
    }
    shown: list[Json] = [
        {"id": "unit", "value": unit},
        {"id": "thresholds", "value": colours or steps((None, "text"))},
        {"id": "custom.cellOptions", "value": {"type": "color-text"}},
    ]
    if words:
        shown.append({"id": "mappings", "value": [mapped]})
    arrange: Json = {
        "indexByName": {name: place for place, name in enumerate(columns)},
        "renameByName": dict(columns),
        "excludeByName": {"Time": True},
    }
    return Panel(
        kind="table",
        title=title,
        description=description,
        targets=targets([Query(promql, instant=True, shape="table")]),
        options={
            "showHeader": True,
            "cellHeight": "sm",
            "sortBy": [{"displayName": columns["Value"], "desc": False}],
        },
        defaults={"custom": {"align": "auto", "filterable": True}},
        overrides=(
            {
                "matcher": {"id": "byName", "options": columns["Value"]},
                "properties": shown,
            },
        ),
        transformations=({"id": "organize", "options": arrange},),
    )
