"""How the source hears of spans: beside the user's processors, and whatever those are.

``add_trace_processor`` would be the way of the SDK's documentation. It makes the SDK create its
exporter, with what belongs to that, at the import already; a ``set_trace_processors`` of the user
would take ours out; and there is nothing that takes ours out and leaves theirs. So the source
listens where the SDK tells all processors, and changes none of what the user has set.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any, Self

from attrs import define, field

from hypervisor_observability.sources import SourceContext
from hypervisor_openai_agents.spans import Spans

_DISABLED = (
    "tracing of the OpenAI Agents SDK is disabled (%s), so these runs are not seen; leave it "
    "enabled, and call set_trace_processors([]) where nothing shall be sent to OpenAI"
)

_Wrap = Callable[[Any, Callable[..., object]], Any]


@define(eq=False)
class _Patch:
    owner: type
    name: str
    plain: Any
    ours: Any


@define(eq=False)
class Attachment:
    """What was changed in the SDK."""

    _patches: list[_Patch] = field(factory=list)
    _has_warned: bool = False

    @classmethod
    def to(cls, spans: Spans, context: SourceContext) -> Self:
        """Have *spans* told of all that begins and ends.

        Raises:
            AttributeError, ImportError: The SDK is another one.
        """
        from agents.tracing.provider import (
            DefaultTraceProvider,
            SynchronousMultiTracingProcessor,
        )
        from agents.tracing.spans import SpanImpl

        self = cls()
        warn = self._warner(context)
        patches: tuple[tuple[type, str, _Wrap, Callable[..., object]], ...] = (
            (SynchronousMultiTracingProcessor, "on_trace_start", _after, spans.trace_started),
            (SynchronousMultiTracingProcessor, "on_span_start", _after, spans.span_started),
            (SynchronousMultiTracingProcessor, "on_trace_end", _before, spans.trace_ended),
            (SynchronousMultiTracingProcessor, "on_span_end", _before, spans.span_ended),
            (SpanImpl, "set_error", _around_error, spans.error_set),
            (DefaultTraceProvider, "create_trace", _with_result, warn),
        )
        try:
            for owner, name, wrap, observe in patches:
                self._patch(owner, name, wrap, context.guarded(observe))
        except BaseException:
            self.detach()
            raise
        return self

    def detach(self) -> None:
        """Put back what was there, unless somebody else has replaced it meanwhile."""
        for patch in reversed(self._patches):
            if vars(patch.owner).get(patch.name) is patch.ours:
                setattr(patch.owner, patch.name, patch.plain)
        self._patches.clear()

    def _patch(self, owner: type, name: str, wrap: _Wrap, observe: Callable[..., object]) -> None:
        plain = vars(owner)[name] if name in vars(owner) else getattr(owner, name)
        ours = wrap(plain, observe)
        setattr(owner, name, ours)
        self._patches.append(_Patch(owner, name, plain, ours))

    def _warner(self, context: SourceContext) -> Callable[[object, object], None]:
        def warn(provider: object, made: object) -> None:
            if not self._has_warned and getattr(made, "trace_id", None) == "no-op":
                self._has_warned = True
                everywhere = getattr(provider, "_disabled", False)
                context.logger.warning(
                    _DISABLED,
                    "OPENAI_AGENTS_DISABLE_TRACING or set_tracing_disabled"
                    if everywhere
                    else "tracing_disabled of the RunConfig, or disabled of the trace",
                )

        return warn


# What is observed is the trace or the span; ``told`` is the SDK's own object that tells of it.


def _after(plain: Any, observe: Callable[..., object]) -> Any:
    @wraps(plain)
    def tell(told: object, what: object) -> None:
        plain(told, what)
        observe(what)

    return tell


def _before(plain: Any, observe: Callable[..., object]) -> Any:
    @wraps(plain)
    def tell(told: object, what: object) -> None:
        observe(what)
        plain(told, what)

    return tell


def _around_error(plain: Any, observe: Callable[..., object]) -> Any:
    @wraps(plain)
    def set_error(span: object, error: object) -> None:
        observe(span)
        plain(span, error)

    return set_error


def _with_result(plain: Any, observe: Callable[..., object]) -> Any:
    @wraps(plain)
    def create(provider: object, *args: object, **kwargs: object) -> object:
        made = plain(provider, *args, **kwargs)
        observe(provider, made)
        return made

    return create
