"""A program under ``hvobs run``, and what is seen of it: events, tree, metrics, spans."""

import gzip
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from attrs import frozen
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from tests.commands import HVOBS
from tests.configurations import write_config
from tests.plugins.otel import acts
from tests.plugins.otel.fake_backend import FakeBackend
from tests.programs import run

WHERE = """
[plugins.journal]
directory = "journal"

[plugins.prometheus]
serve = false
textfile = "metrics.prom"

[plugins.otel]
endpoint = "{endpoint}"
"""
"""What the tables of a test are followed by."""


@frozen
class Seen:
    """How a program ended, and what was seen of it.

    Attributes:
        exit_code: Of ``hvobs run``, which is that of the program.
        stdout: What the program wrote.
        stderr: Likewise, and the line of the command.
        events: Of the journal, as ``hvobs query --json`` gives them, oldest first.
        tree: What ``hvobs tree`` prints.
        samples: Of all metrics, as Prometheus reads them.
        spans: That an OTLP receiver got, by the time they ended.
    """

    exit_code: int
    stdout: str
    stderr: str
    events: list[dict[str, Any]]
    tree: str
    samples: list[Sample]
    spans: list[Span]

    def of_type(self, event_type: str) -> list[dict[str, Any]]:
        """Give the events of one type."""
        return [event for event in self.events if event["event_type"] == event_type]

    def metric(self, name: str, **labels: str) -> float:
        """Add up the samples of *name* that have *labels*, and maybe others."""
        return sum(
            sample.value
            for sample in self.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )

    def span(self, name: str) -> Span:
        """Give the one span of that *name*."""
        (span,) = [span for span in self.spans if span.name == name]
        return span

    def parent_of(self, span: Span) -> Span | None:
        """Give the span that *span* lies below; None if there is none or it was not sent."""
        found = [one for one in self.spans if one.span_id == span.parent_span_id]
        return found[0] if found else None


def clean_environ() -> dict[str, str]:
    """Give the environment without what would configure the command or a framework's tracing."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("HYPERVISOR_", "OTEL_", "LANGSMITH_", "LANGCHAIN_"))
    }


def see(
    folder: Path,
    program: str | Sequence[object],
    *,
    config: str,
    environ: Mapping[str, str] | None = None,
    timeout: float = 120,
) -> Seen:
    """Run a *program* in *folder* under ``hvobs run``, and wait for its end.

    :param program: Its text, which becomes ``app.py``; or what follows ``hvobs run``, such as
        ``("-m", "pytest")``.
    :param config: The tables of ``hypervisor.toml`` beside those of ``WHERE``.
    :param environ: Variables beside those that are there.
    :param timeout: Most seconds that it may take.
    """
    if isinstance(program, str):
        (folder / "app.py").write_text(program)
        program = ("app.py",)
    backend = FakeBackend((acts.answering(200),))
    backend.start()
    try:
        where = WHERE.format(endpoint=backend.endpoint)
        write_config(f"{config}\n{where}", folder / "hypervisor.toml")
        options: dict[str, Any] = {"cwd": folder, "env": {**clean_environ(), **(environ or {})}}
        result = run([*HVOBS, "run", *program], timeout=timeout, **options)
    finally:
        backend.stop()
    kept = (folder / "journal").exists()
    events = run([*HVOBS, "query", "--json"], **options).stdout if kept else ""
    left = folder / "metrics.prom"
    families = text_string_to_metric_families(left.read_text("utf-8") if left.exists() else "")
    return Seen(
        exit_code=result.returncode,
        stdout=result.stdout,
        stderr=result.stderr,
        events=[json.loads(line) for line in events.splitlines()],
        tree=run([*HVOBS, "tree"], **options).stdout if kept else "",
        samples=[sample for family in families for sample in family.samples],
        spans=spans_of(backend),
    )


def spans_of(backend: FakeBackend) -> list[Span]:
    """Give the spans that a *backend* got, in their order."""
    return [span for request in backend.requests for span in _spans(request.body)]


def _spans(body: bytes) -> list[Span]:
    if body.startswith(b"\x1f\x8b"):  # RFC 1952, section 2.3.1: how gzip begins
        body = gzip.decompress(body)
    request = ExportTraceServiceRequest.FromString(body)
    return [
        span
        for resource in request.resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]
