"""From finished spans to lines: how long work took."""

import zlib
from collections.abc import Sequence

from attrs import define, field

from hypervisor_observability import FinishedSpan
from hypervisor_statsd.config import DurationType
from hypervisor_statsd.lines import Label, Line, LineFormat, MetricType, Series, with_value

_TIMERS = {
    "saga": "agent_hypervisor.saga",
    "step": "agent_hypervisor.saga.step",
    "compensation": "agent_hypervisor.saga.compensation",
    "fanout": "agent_hypervisor.saga.fanout",
}
# Decisions are at one moment; how long they took to make is a metric.
_WITHOUT_DURATION = frozenset({"decision"})
_ACTION = "agent.saga.step_action"
_TYPES: dict[DurationType, MetricType] = {
    DurationType.TIMER: "ms",
    DurationType.HISTOGRAM: "h",
    DurationType.DISTRIBUTION: "d",
}


@define(eq=False)
class Durations:
    """Write spans as durations in milliseconds.

    Attributes:
        format: How lines are written.
        type: As what.
        sample_rate: The share of spans that is told. Which ones is read off their ids, so
            that it is the same ones when they are offered again.
        sampled_out: How many were not told for it.
    """

    format: LineFormat
    type: DurationType = DurationType.TIMER
    sample_rate: float = 1.0
    sampled_out: int = 0
    _unsettled: dict[tuple[str, str], Series] = field(factory=dict, init=False)

    def lines(self, spans: Sequence[FinishedSpan]) -> list[Line]:
        """Write those of *spans* that were not told when they were offered before."""
        before, self._unsettled = self._unsettled, {}
        lines: list[Line] = []
        for span in spans:
            if span.scope in _WITHOUT_DURATION or not self._is_sampled(span):
                continue
            key = span.trace_id, span.span_id
            series = before.get(key)
            if series is None:
                series = Series(self._stem(span))
            self._unsettled[key] = series
            if not series.told:
                milliseconds = (span.end_ns - span.start_ns) / 1e6
                lines.append((with_value(series.stem, milliseconds), series, 1))
        return lines

    def settle(self, spans: Sequence[FinishedSpan]) -> None:
        """Note that all of *spans* were told: they are not offered again."""
        self._unsettled = {}
        self.sampled_out += sum(
            span.scope not in _WITHOUT_DURATION and not self._is_sampled(span) for span in spans
        )

    def _is_sampled(self, span: FinishedSpan) -> bool:
        if self.sample_rate == 1:
            return True
        digest = zlib.crc32(f"{span.trace_id}/{span.span_id}".encode())
        return digest < self.sample_rate * 2**32

    def _stem(self, span: FinishedSpan) -> tuple[str, str]:
        name = _TIMERS.get(span.scope, f"agent_hypervisor.{span.scope}")
        return self.format.stem(name, _labels(span), _TYPES[self.type], self.sample_rate)


def _labels(span: FinishedSpan) -> tuple[Label, ...]:
    status = ("status", span.status.value)
    if _ACTION not in span.attributes:
        return (status,)
    return (("action", str(span.attributes[_ACTION])), status)
