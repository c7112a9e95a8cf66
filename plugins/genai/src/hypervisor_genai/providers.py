"""How a span processor gets to the spans, whoever sets up the SDK, and when.

========================================  ========================================================
the application                           what happens
========================================  ========================================================
has set a provider of the SDK             the processor is added to it
sets one later, or has several            it is added to each when that gives a tracer
sets none                                 the tracers that the API gives out until there is a
                                          provider make spans of one of ours, which exports
                                          nothing. The global provider stays unset: what the
                                          application sets later holds from then on, for these
                                          tracers, too
========================================  ========================================================

All of this runs in calls of the application's, so all of it is guarded.
"""

import weakref
from collections.abc import Callable
from functools import wraps
from typing import Any

from attrs import define, field
from opentelemetry import trace
from opentelemetry.sdk.trace import (
    ConcurrentMultiSpanProcessor,
    SpanProcessor,
    Tracer,
    TracerProvider,
)

from hypervisor_genai.own_spans import OwnSpans, passing_by

_GET_TRACER = "get_tracer"
_START_SPAN = "start_span"
_TRACER = "_tracer"


@define(eq=False)
class Providers:
    """Gives a processor to the providers of the process.

    Attributes:
        processor: For spans whose code calls it.
        distant: For those of a ``ConcurrentMultiSpanProcessor``, which calls from other threads.
        guarded: Guards callbacks.
    """

    processor: SpanProcessor
    distant: SpanProcessor
    guarded: Callable[[Callable[..., Any]], Callable[..., Any]]
    # By their ids: a provider of the application's may compare equal to another one.
    _taken: "weakref.WeakValueDictionary[int, TracerProvider]" = field(
        factory=weakref.WeakValueDictionary, init=False
    )
    _own: OwnSpans | None = field(default=None, init=False)
    _tracers: dict[tuple[Any, ...], Any] = field(factory=dict, init=False)
    _undo: list[Callable[[], None]] = field(factory=list, init=False)

    @property
    def own(self) -> TracerProvider:
        """The provider for spans that nobody else wants: it exports nothing."""
        if self._own is None:
            own = OwnSpans()
            self.take(own.provider)
            self._own = own
        return self._own.provider

    def begin(self) -> None:
        """Take all providers that there are, and those that come."""
        take = self.guarded(self.take)
        there: Any = getattr(trace, "_TRACER_PROVIDER", None)
        for provider in (there, getattr(there, "provider", None)):  # logfire's stands before one
            if isinstance(provider, TracerProvider):
                take(provider)
        self._undo.append(_wrapped(TracerProvider, _GET_TRACER, self._taking))
        self._undo.append(_wrapped(Tracer, _START_SPAN, self._passing_by_own))
        if isinstance(vars(trace.ProxyTracer).get(_TRACER), property):
            self._undo.append(_wrapped(trace.ProxyTracer, _TRACER, self._standing_in))

    def end(self) -> None:
        """Leave the API, the SDK and every provider as they were."""
        while self._undo:
            self._undo.pop()()
        for provider in list(self._taken.values()):
            _remove(provider, (self.processor, self.distant))
        self._tracers.clear()

    def take(self, provider: TracerProvider) -> None:
        """Add the processor to a provider that does not have it yet."""
        if self._taken.get(id(provider)) is provider:
            return
        self._taken[id(provider)] = provider
        multi = getattr(provider, "_active_span_processor", None)
        distant = isinstance(multi, ConcurrentMultiSpanProcessor)
        provider.add_span_processor(self.distant if distant else self.processor)

    def _taking(self, plain: Callable[..., Any]) -> Callable[..., Any]:
        take = self.guarded(self.take)

        @wraps(plain)
        def get_tracer(provider: TracerProvider, *args: Any, **kwargs: Any) -> Any:
            if self._undo:
                take(provider)
            return plain(provider, *args, **kwargs)

        return get_tracer

    def _passing_by_own(self, plain: Callable[..., Any]) -> Callable[..., Any]:
        passed = self.guarded(passing_by)

        @wraps(plain)
        def start_span(
            tracer: Tracer, name: str, context: Any = None, *args: Any, **told: Any
        ) -> Any:
            if self._own is not None and not self._own.make(tracer):
                context = passed(context) or context
            return plain(tracer, name, context, *args, **told)

        return start_span

    def _standing_in(self, plain: property) -> property:
        own_tracer = self.guarded(self._own_tracer)

        def tracer(proxy: Any) -> Any:
            found = plain.__get__(proxy)
            if self._undo and found is getattr(proxy, "_noop_tracer", None):
                return own_tracer(proxy) or found
            return found

        return property(tracer, doc=plain.__doc__)

    def _own_tracer(self, proxy: Any) -> Any:
        about = (
            proxy._instrumenting_module_name,
            proxy._instrumenting_library_version,
            proxy._schema_url,
        )
        tracer = self._tracers.get(about)
        if tracer is None:
            tracer = self._tracers[about] = self.own.get_tracer(*about)
        return tracer


def _wrapped(owner: type, name: str, wrap: Callable[[Any], Any]) -> Callable[[], None]:
    """Put a wrapper in the place of an attribute; give what takes it back."""
    plain = vars(owner)[name]
    wrapper = wrap(plain)
    setattr(owner, name, wrapper)

    def undo() -> None:
        if vars(owner).get(name) is wrapper:  # else others have wrapped it, too
            setattr(owner, name, plain)

    return undo


def _remove(provider: TracerProvider, processors: tuple[SpanProcessor, ...]) -> None:
    """Take processors out of a provider. The SDK has no way to; they do nothing any more anyway."""
    multi: Any = getattr(provider, "_active_span_processor", None)
    there = getattr(multi, "_span_processors", None)
    lock = getattr(multi, "_lock", None)
    if not isinstance(there, tuple) or lock is None:
        return
    with lock:
        multi._span_processors = tuple(
            one for one in multi._span_processors if one not in processors
        )
