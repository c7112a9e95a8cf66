"""Spans that only the source sees, and how those of the application pass them by.

Where a span of ours is the current one, one that the application begins would lie below it: below
a span that nobody exports, and sampled as that is. It begins where it would without the source,
below what was current when ours began, and its context says of which of ours it is part.
"""

from attrs import field, frozen
from opentelemetry import trace
from opentelemetry.context import Context, create_key, get_value, set_value
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import (
    Span,
    SpanLimits,
    SpanProcessor,
    SynchronousMultiSpanProcessor,
    Tracer,
    TracerProvider,
)
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, Decision, ParentBased, StaticSampler

from hypervisor_genai.links import SpanKey

_PASSED = create_key("hypervisor-genai-passed")
_BEFORE = "_hypervisor_genai_before"
_MOST_OF_A_KIND = 128
# The header of a call to another service says what it would say without the source.
_RECORDED = StaticSampler(Decision.RECORD_ONLY)
_SAMPLER = ParentBased(
    ALWAYS_ON, remote_parent_not_sampled=_RECORDED, local_parent_not_sampled=_RECORDED
)


@frozen(eq=False)
class OwnSpans:
    """A provider whose spans nobody else sees: it exports nothing.

    Of what the environment says of sampling, limits and resources nothing is meant for it.

    Attributes:
        provider: It.
    """

    _processors: SynchronousMultiSpanProcessor = field(
        factory=SynchronousMultiSpanProcessor, init=False
    )
    provider: TracerProvider = field(init=False)

    @provider.default
    def _new(self) -> TracerProvider:
        return TracerProvider(
            _SAMPLER,
            Resource({}),
            shutdown_on_exit=False,
            active_span_processor=self._processors,
            span_limits=SpanLimits(
                max_attributes=SpanLimits.UNSET,
                max_events=_MOST_OF_A_KIND,
                max_links=_MOST_OF_A_KIND,
                max_span_attributes=SpanLimits.UNSET,
                max_event_attributes=_MOST_OF_A_KIND,
                max_link_attributes=_MOST_OF_A_KIND,
                max_attribute_length=SpanLimits.UNSET,
                max_span_attribute_length=SpanLimits.UNSET,
            ),
        )

    def __attrs_post_init__(self) -> None:
        self.provider.add_span_processor(_Remembering())

    def make(self, tracer: Tracer) -> bool:
        """Tell whether the spans of a tracer are among these."""
        return tracer.span_processor is self._processors


class _Remembering(SpanProcessor):
    """Remembers of a span which one of the application's was current when it began."""

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        current = trace.get_current_span(parent_context)
        setattr(span, _BEFORE, _before(current) or current)


def _before(span: trace.Span) -> trace.Span | None:
    """Give the application's span that was current when one of ours began; None: it is none."""
    return vars(span).get(_BEFORE) if isinstance(span, Span) else None


def passing_by(context: Context | None) -> Context | None:
    """Give the context for a span that the application begins; None: *context* is the one."""
    current = trace.get_current_span(context)
    before = _before(current)
    if before is None:
        return None
    ids = current.get_span_context()
    passed = set_value(_PASSED, (ids.trace_id, ids.span_id), context)
    return trace.set_span_in_context(before, passed)


def passed_in(context: Context | None) -> SpanKey | None:
    """Give the ids of our span that one of the application's has passed by, if it has."""
    key: SpanKey | None = None if context is None else get_value(_PASSED, context)  # type: ignore[assignment]  # what was set
    return key
