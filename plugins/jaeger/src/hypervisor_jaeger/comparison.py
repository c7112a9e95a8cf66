"""Two traces, compared by their operations. Pure."""

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from attrs import frozen

JsonObject = dict[str, Any]


@frozen
class OperationDifference:
    """What two traces have of one operation.

    Attributes:
        service: Whose operation it is.
        operation: Its name.
        spans: How many spans of it there are, in the one and in the other.
        errors: How many of these failed.
        duration_us: Their time together, in microseconds.
    """

    service: str
    operation: str
    spans: tuple[int, int]
    errors: tuple[int, int]
    duration_us: tuple[int, int]

    @property
    def is_change(self) -> bool:
        """Whether the one has other spans or other failures than the other."""
        return self.spans[0] != self.spans[1] or self.errors[0] != self.errors[1]


def compare(one: JsonObject, other: JsonObject) -> list[OperationDifference]:
    """Give what two traces in Jaeger's JSON have of each operation, by service and name."""
    sums: dict[tuple[str, str], list[list[int]]] = defaultdict(lambda: [[0, 0], [0, 0], [0, 0]])
    for side, trace in enumerate((one, other)):
        for service, span in _spans(trace):
            counts = sums[service, str(span.get("operationName", ""))]
            counts[0][side] += 1
            counts[1][side] += has_failed(span)
            counts[2][side] += _integer(span.get("duration"))
    return [
        OperationDifference(
            service,
            operation,
            (spans[0], spans[1]),
            (errors[0], errors[1]),
            (durations[0], durations[1]),
        )
        for (service, operation), (spans, errors, durations) in sorted(sums.items())
    ]


def has_failed(span: JsonObject) -> bool:
    """Whether a span has Jaeger's tag ``error``."""
    tags = span.get("tags")
    return any(
        isinstance(tag, dict)
        and tag.get("key") == "error"
        and str(tag.get("value")).lower() == "true"
        for tag in (tags if isinstance(tags, list) else ())
    )


def _spans(trace: JsonObject) -> Iterable[tuple[str, JsonObject]]:
    processes = trace.get("processes")
    named = processes if isinstance(processes, dict) else {}
    spans = trace.get("spans")
    for span in spans if isinstance(spans, list) else ():
        if isinstance(span, dict):
            process = named.get(span.get("processID"))
            service = process.get("serviceName", "") if isinstance(process, dict) else ""
            yield str(service), span


def _integer(value: object) -> int:
    return value if isinstance(value, int) else 0
