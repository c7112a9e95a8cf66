"""What the SDK of OpenTelemetry calls for each span."""

from collections.abc import Callable
from typing import Any

from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor

from hypervisor_genai.spans import Spans


class GenAIProcessor(SpanProcessor):
    """Passes spans on, and nothing that goes wrong back.

    Args:
        spans: Records them.
        guarded: Guards callbacks.
        here: Whether the SDK calls from the code that begins and ends the spans.
    """

    def __init__(
        self,
        spans: Spans,
        guarded: Callable[[Callable[..., Any]], Callable[..., Any]],
        *,
        here: bool,
    ) -> None:
        self._here = here
        self._begun = guarded(spans.begun)
        self._ended = guarded(spans.ended)

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Take note of a span that has begun."""
        self._begun(span, parent_context, here=self._here)

    def on_end(self, span: ReadableSpan) -> None:
        """Take note of a span that has ended."""
        self._ended(span, here=self._here)
