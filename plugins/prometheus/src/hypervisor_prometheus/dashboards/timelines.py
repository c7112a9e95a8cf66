"""The sagas as spans: panels that ask Jaeger or Tempo."""

from enum import Enum
from typing import Any

from hypervisor_prometheus.dashboards.panels import Json, Panel

TRACES_SOURCE: Json = {"uid": "${traces}"}


class TraceBackend(Enum):
    """Who keeps the spans; the value is Grafana's name of the data source's type."""

    JAEGER = "jaeger"
    TEMPO = "tempo"


def found_traces(backend: TraceBackend, uid: str) -> Panel:
    """List the traces of a service; a click on one shows it below.

    Args:
        backend: Who is asked.
        uid: Of the dashboard that has these panels.
    """
    question: Json
    if backend is TraceBackend.JAEGER:
        question = {"queryType": "search", "service": "$service", "limit": 20}
    else:
        selector = '{resource.service.name="$service"}'
        question = {"queryType": "traceql", "query": selector, "limit": 20, "tableType": "traces"}
    # An id is text of a backend: Grafana encodes it for the URL.
    link = {
        "title": "Show below",
        "url": f"/d/{uid}?${{__url_time_range}}&${{datasource:queryparam}}"
        "&${traces:queryparam}&${service:queryparam}&var-trace=${__value.raw:percentencode}",
        "targetBlank": False,
    }
    return Panel(
        kind="table",
        title="Traces of the service",
        description="The newest traces of the service named above. Choose one to see it below.",
        targets=(_target(backend, question),),
        width=24,
        height=7,
        source={"type": backend.value, **TRACES_SOURCE},
        options={"showHeader": True, "cellHeight": "sm"},
        overrides=tuple(
            {
                "matcher": {"id": "byName", "options": name},
                "properties": [{"id": "links", "value": [link]}],
            }
            for name in ("traceID", "Trace ID")
        ),
    )


def timeline(backend: TraceBackend) -> Panel:
    """Show one trace as a waterfall."""
    question: dict[str, Any] = {"query": "$trace"}
    if backend is TraceBackend.TEMPO:
        question["queryType"] = "traceql"
    return Panel(
        kind="traces",
        title="Saga timeline",
        description="The spans of the trace whose id stands above: agents, sagas, steps and"
        " compensations. A dot of an exemplar, or the list above, leads here.",
        targets=(_target(backend, question),),
        width=24,
        height=14,
        source={"type": backend.value, **TRACES_SOURCE},
    )


def _target(backend: TraceBackend, question: Json) -> Json:
    return {"refId": "A", "datasource": {"type": backend.value, **TRACES_SOURCE}, **question}
