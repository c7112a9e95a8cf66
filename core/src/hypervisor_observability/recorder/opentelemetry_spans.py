"""OpenTelemetry's active span as the parent of what begins here, and ours for calls inside.

Everything of OpenTelemetry that is used belongs to its API package, which is imported only
where the bridge is wanted. Its global providers are not touched.
"""

from collections.abc import Callable
from contextvars import Token
from typing import Any

from ..causality.causal_trace import CausalTraceId


class OpenTelemetrySpans:
    """The spans of the running code, as OpenTelemetry's API knows them.

    Raises:
        ImportError: The API is not installed.
    """

    def __init__(self) -> None:
        from opentelemetry import context, trace

        self._context: Any = context
        self._trace: Any = trace

    def parent(self, current: CausalTraceId | None) -> CausalTraceId | None:
        """Give the innermost of *current*, the current trace, and the active span.

        Each scope makes its own span the active one, so any other active span was begun
        within the scope, or where there is none.
        """
        active = self._trace.get_current_span().get_span_context()
        if not active.is_valid:
            return current
        trace_id, span_id = f"{active.trace_id:032x}", f"{active.span_id:016x}"
        if current is not None and current.to_w3c() == (trace_id, span_id):
            return current
        return CausalTraceId.from_w3c(trace_id, span_id)

    def activate(self, trace: CausalTraceId) -> Callable[[], None]:
        """Make a span of *trace*'s ids the active one.

        Returns:
            The function that goes back to what was active before; it never raises.
        """
        trace_id, span_id = (int(digits, 16) for digits in trace.to_w3c())
        api = self._trace
        around = api.get_current_span().get_span_context()
        flags, state = api.TraceFlags(api.TraceFlags.SAMPLED), None
        if around.trace_id == trace_id:  # its decisions hold for all of the trace
            flags, state = around.trace_flags, around.trace_state
        own = api.SpanContext(
            trace_id, span_id, is_remote=False, trace_flags=flags, trace_state=state
        )
        token = self._context.attach(api.set_span_in_context(api.NonRecordingSpan(own)))

        def leave() -> None:
            self._leave(token)

        return leave

    def _leave(self, token: Any) -> None:
        if not isinstance(token, Token):  # of a context of its own, by OTEL_PYTHON_CONTEXT
            self._context.detach(token)
            return
        try:
            # Not by detach, which logs an error where the scope ends in another context.
            token.var.reset(token)
        except ValueError:
            pass
