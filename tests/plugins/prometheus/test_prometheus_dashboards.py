"""The dashboards are what Grafana takes, and name only what there is."""

import json
import re
from itertools import combinations
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from hypervisor_observability.delivery.counts import NO_LOSS
from hypervisor_prometheus.alerts import ALERTS
from hypervisor_prometheus.dashboards import agents_dashboard, pipeline_dashboard
from hypervisor_prometheus.dashboards.board import Row, dashboard
from hypervisor_prometheus.dashboards.panels import Query, lines
from hypervisor_prometheus.dashboards.timelines import TraceBackend
from tests.plugins.prometheus.dashboards import questions

ROOT = Path(__file__).parents[3]
SCHEMA = json.loads(Path(__file__).with_name("grafana_dashboard.schema.json").read_text("utf-8"))
DASHBOARDS = {
    "agents": agents_dashboard(),
    "agents with Tempo": agents_dashboard(traces=TraceBackend.TEMPO, service="checkout"),
    "pipeline": pipeline_dashboard(),
}
ROW = re.compile(r"^\| `(agent_\w+)` \| (\w+) \| ([^|]*) \|", re.MULTILINE)
NAME = re.compile(r"agent_(?:hypervisor|governance)_\w+")
every = pytest.mark.parametrize("board", DASHBOARDS.values(), ids=DASHBOARDS)


def metrics_there_are() -> dict[str, tuple[str, set[str]]]:
    """Give type and labels of every metric: of the page that is compared with the code."""
    page = (ROOT / "docs" / "reference" / "metrics.md").read_text("utf-8")
    return {
        name: (kind, set(re.findall(r"`(\w+)`", labels)))
        for name, kind, labels in ROW.findall(page)
    }


METRICS = metrics_there_are()


QUESTIONS = [
    *questions(DASHBOARDS["agents"]),
    *questions(DASHBOARDS["pipeline"]),
    *(alert.promql for alert in ALERTS),
]


def family_of(name: str) -> str:
    """Give the metric that a series' *name* belongs to."""
    base = re.sub(r"_(bucket|sum|count)$", "", name)
    return base if base in METRICS and METRICS[base][0] == "histogram" else name


def test_losses_are_those_of_the_core() -> None:
    matchers = [matcher for text in QUESTIONS for matcher in re.findall(r'reason!~"([^"]*)"', text)]

    assert matchers
    assert set(matchers) == {"|".join(NO_LOSS)}


@every
def test_grafana_takes_it(board: dict[str, Any]) -> None:
    jsonschema.validate(board, SCHEMA)
    assert json.loads(json.dumps(board)) == board


@pytest.mark.parametrize(
    "damage",
    [
        lambda board: board.update(tilte="x"),
        lambda board: board["panels"][0].update(type="graph"),
        lambda board: board["panels"][0]["gridPos"].update(w=25),
        lambda board: board["panels"][0]["options"].update(legende={}),
        lambda board: board["panels"][0]["targets"][0].pop("expr"),
        lambda board: board["templating"]["list"][0].update(type="choice"),
    ],
)
def test_schema_finds_what_is_wrong(damage: Any) -> None:
    board = agents_dashboard()
    damage(board)

    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(board, SCHEMA)


@every
def test_ids_are_unique(board: dict[str, Any]) -> None:
    numbers = [panel["id"] for panel in board["panels"]]
    names = [variable["name"] for variable in board["templating"]["list"]]

    assert len(set(numbers)) == len(numbers)
    assert len(set(names)) == len(names)
    for panel in board["panels"]:
        letters = [target["refId"] for target in panel.get("targets", ())]
        assert len(set(letters)) == len(letters)


def test_dashboards_have_uids_and_titles_of_their_own_and_link_to_each_other() -> None:
    agents, pipeline = DASHBOARDS["agents"], DASHBOARDS["pipeline"]

    assert agents["uid"] != pipeline["uid"]
    assert agents["title"] != pipeline["title"]
    assert agents["links"][0]["url"] == f"/d/{pipeline['uid']}"
    assert pipeline["links"][0]["url"] == f"/d/{agents['uid']}"


@every
def test_no_panel_lies_over_another_or_beyond_the_grid(board: dict[str, Any]) -> None:
    places = [panel["gridPos"] for panel in board["panels"]]
    for place in places:
        assert place["x"] + place["w"] <= 24
    for one, other in combinations(places, 2):
        apart = (
            one["x"] + one["w"] <= other["x"]
            or other["x"] + other["w"] <= one["x"]
            or one["y"] + one["h"] <= other["y"]
            or other["y"] + other["h"] <= one["y"]
        )
        assert apart, (one, other)


def test_first_panels_are_laid_out_as_documented() -> None:
    shown = [
        (panel["title"], panel["type"], panel["gridPos"]["y"])
        for panel in DASHBOARDS["agents"]["panels"]
    ]

    assert shown[:7] == [
        ("Ring transitions", "timeseries", 0),
        ("Breach rate", "stat", 0),
        ("Breaches in this time", "stat", 0),
        ("Current ring levels", "table", 0),
        ("Elevation duration", "bargauge", 8),
        ("Policy decisions", "piechart", 8),
        ("Trust scores", "gauge", 8),
    ]
    assert ("Saga timeline", "traces") in [(title, kind) for title, kind, _ in shown]


def test_panel_that_is_too_wide_is_refused() -> None:
    panel = lines("Wide", "Too wide", Query("up")).sized(25)

    with pytest.raises(ValueError, match="'Wide' is 25 columns wide"):
        dashboard(uid="x", title="x", description="x", rows=[Row("", (panel,))], variables=())


@pytest.mark.parametrize("promql", QUESTIONS)
def test_every_metric_and_label_in_a_question_exists(promql: str) -> None:
    names = {family_of(name) for name in NAME.findall(promql)}
    known = {"job", "instance", "le", "partition"}.union(*(METRICS[name][1] for name in names))
    known |= set(re.findall(r"label_replace\(.*, \"(\w+)\", \"\$1\"", promql))
    used = set(re.findall(r"(\w+)(?:=~|!~|!=|=)\"", promql))
    for listed in re.findall(r"\b(?:by|on|without) \(([^)]*)\)", promql):
        used |= {label.strip() for label in listed.split(",")}

    assert names
    assert used <= known


@pytest.mark.parametrize("promql", QUESTIONS)
def test_counters_are_asked_for_their_growth_and_gauges_are_not(promql: str) -> None:
    for match in NAME.finditer(promql):
        name = match[0]
        grows = METRICS[family_of(name)][0] != "gauge"
        asked = re.search(r"(?:rate|increase)\($", promql[: match.start()]) is not None
        # What finds a new counter compares it with itself, some minutes ago.
        assert asked == grows or f"last_over_time({name}" in promql, name
        if METRICS[family_of(name)][0] == "histogram":
            assert name.endswith("_bucket")


@every
def test_variables_in_questions_are_there(board: dict[str, Any]) -> None:
    there = {variable["name"] for variable in board["templating"]["list"]}
    there |= {"__rate_interval", "__range", "__value", "__url_time_range"}
    used = set(re.findall(r"\$\{?(\w+)", json.dumps(board["panels"])))

    assert used <= there


@every
def test_variables_take_values_of_labels_that_exist(board: dict[str, Any]) -> None:
    for variable in board["templating"]["list"]:
        if variable["type"] == "query":
            asked = re.fullmatch(r"label_values\((\w+), (\w+)\)", variable["definition"])
            assert asked is not None
            assert asked[2] in METRICS[asked[1]][1] | {"job"}


@every
def test_every_panel_says_how_to_read_it(board: dict[str, Any]) -> None:
    for panel in board["panels"]:
        if panel["type"] != "row":
            assert panel["description"].endswith("."), panel["title"]


def test_no_question_needs_a_session() -> None:
    # Series with a session are withdrawn, and are not there with labels = "production".
    assert [promql for promql in QUESTIONS if "session_id" in promql] == []


def test_tempo_and_jaeger_are_asked_in_their_own_ways() -> None:
    def asked(board: dict[str, Any]) -> list[dict[str, Any]]:
        return [
            {key: value for key, value in target.items() if key not in {"refId", "datasource"}}
            for panel in board["panels"]
            for target in panel.get("targets", ())
            if "expr" not in target
        ]

    assert asked(DASHBOARDS["agents"]) == [
        {"queryType": "search", "service": "$service", "limit": 20},
        {"query": "$trace"},
    ]
    assert asked(DASHBOARDS["agents with Tempo"]) == [
        {
            "queryType": "traceql",
            "query": '{resource.service.name="$service"}',
            "limit": 20,
            "tableType": "traces",
        },
        {"queryType": "traceql", "query": "$trace"},
    ]
