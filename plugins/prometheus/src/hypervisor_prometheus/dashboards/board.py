"""A dashboard: rows of panels on Grafana's grid, and the variables that its reader sets."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import count
from typing import Any

from attrs import frozen

from hypervisor_prometheus.dashboards.panels import METRICS_SOURCE, Json, Panel

SCHEMA_VERSION = 39
"""The newest version of the JSON that Grafana 10.4 and later read as it stands."""

GRID_COLUMNS = 24
TAG = "agent-hypervisor"

# What panels ask for: the jobs and agents that the reader chose, and the time of one point.
JOB = 'job=~"$job"'
AGENT = f'{JOB},agent_did=~"$agent"'
WINDOW = "[$__rate_interval]"


@frozen
class Row:
    """Panels side by side; those that do not fit in a line go into further ones.

    Attributes:
        title: A heading of its own, that folds them; empty: none.
        panels: From left to right.
    """

    title: str
    panels: tuple[Panel, ...]


def dashboard(
    *,
    uid: str,
    title: str,
    description: str,
    rows: Sequence[Row],
    variables: Sequence[Json],
    links: Sequence[Json] = (),
) -> Json:
    """Give a dashboard as Grafana imports it.

    Args:
        uid: Names it in links and when it is imported again.
        title: Its name.
        description: What it is for.
        rows: From above.
        variables: What its reader chooses.
        links: To other dashboards.

    Raises:
        ValueError: A panel is wider than the grid.
    """
    return {
        "uid": uid,
        "title": title,
        "description": description,
        "tags": [TAG],
        "schemaVersion": SCHEMA_VERSION,
        "version": 1,
        "editable": True,
        "graphTooltip": 1,
        "timezone": "browser",
        "refresh": "30s",
        "time": {"from": "now-1h", "to": "now"},
        "annotations": {"list": []},
        "links": list(links),
        "templating": {"list": list(variables)},
        "panels": list(_placed(rows)),
    }


def _placed(rows: Iterable[Row]) -> Iterable[Json]:
    numbers, top = count(1), 0
    for row in rows:
        if row.title:
            heading = {"h": 1, "w": GRID_COLUMNS, "x": 0, "y": top}
            yield {
                "id": next(numbers),
                "type": "row",
                "title": row.title,
                "collapsed": False,
                "gridPos": heading,
                "panels": [],
            }
            top += 1
        left = line_height = 0
        for panel in row.panels:
            if panel.width > GRID_COLUMNS:
                raise ValueError(f"{panel.title!r} is {panel.width} columns wide")
            if left + panel.width > GRID_COLUMNS:
                top, left, line_height = top + line_height, 0, 0
            place = {"h": panel.height, "w": panel.width, "x": left, "y": top}
            yield _panel(panel, next(numbers), place)
            left, line_height = left + panel.width, max(line_height, panel.height)
        top += line_height


def _panel(panel: Panel, number: int, place: Mapping[str, int]) -> Json:
    return {
        "id": number,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.description,
        "gridPos": dict(place),
        "datasource": dict(panel.source),
        "targets": list(panel.targets),
        "options": dict(panel.options),
        "fieldConfig": {"defaults": dict(panel.defaults), "overrides": list(panel.overrides)},
        "transformations": list(panel.transformations),
    }


def source_variable(name: str, kind: str, label: str) -> Json:
    """Let the reader choose a data source of a kind."""
    return {
        "type": "datasource",
        "name": name,
        "label": label,
        "query": kind,
        "refresh": 1,
        "regex": "",
        "multi": False,
        "includeAll": False,
        "hide": 0,
    }


def label_variable(name: str, metric: str, label: str, shown: str) -> Json:
    """Let the reader choose values of a label; all of them at first."""
    question = f"label_values({metric}, {label})"
    return {
        "type": "query",
        "name": name,
        "label": shown,
        "datasource": METRICS_SOURCE,
        "definition": question,
        "query": {"query": question, "refId": "variable"},
        "refresh": 2,
        "sort": 5,
        "multi": True,
        "includeAll": True,
        "allValue": ".*",
        "current": {"selected": True, "text": ["All"], "value": ["$__all"]},
        "hide": 0,
    }


def text_variable(name: str, label: str, value: str, description: str) -> Json:
    """Let the reader write something."""
    option: dict[str, Any] = {"selected": True, "text": value, "value": value}
    return {
        "type": "textbox",
        "name": name,
        "label": label,
        "description": description,
        "query": value,
        "current": option,
        "options": [option],
        "hide": 0,
    }


def link_to(uid: str, title: str) -> Json:
    """Lead to another dashboard, with the reader's time and variables."""
    return {
        "type": "link",
        "title": title,
        "url": f"/d/{uid}",
        "icon": "dashboard",
        "tooltip": "",
        "tags": [],
        "asDropdown": False,
        "targetBlank": False,
        "includeVars": True,
        "keepTime": True,
    }
