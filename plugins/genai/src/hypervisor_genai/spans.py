"""From the beginning and the end of spans to pieces of work under keys."""

import weakref
from contextlib import suppress
from functools import partial
from typing import Any

from attrs import define, field
from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanKind

from hypervisor_genai.doubles import calls_for, framework_of, is_same
from hypervisor_genai.ending import flying, flying_id, how_it_ended
from hypervisor_genai.handoffs import Handoffs
from hypervisor_genai.held import held_back, released_by
from hypervisor_genai.links import Ended, Link, Links, SpanKey, left_below, unknown_below
from hypervisor_genai.own_spans import passed_in
from hypervisor_genai.reading import Work, work_of
from hypervisor_genai.writing import beginning_of, end_of, tokens_of, usage_of
from hypervisor_observability import CausalTraceId, current_trace
from hypervisor_observability.events.event_types import USAGE_RECORDED
from hypervisor_observability.recorder.kinds import KindName
from hypervisor_observability.sources import SourceContext

_NOTHING = Link()
# A message's receiver is told its sender by a link, which need not be the first.
_MOST_LINKS = 8
_OF_MESSAGES = (SpanKind.PRODUCER, SpanKind.CONSUMER)


@define(eq=False)
class Spans:
    """Records the work of agents that spans tell of.

    Where the SDK calls from the code that begins a span, that code is *here*: what is around it
    is known, and it can be made to stand in the work. A ``ConcurrentMultiSpanProcessor`` calls
    from threads of its own.

    Attributes:
        context: Of the source.
        links: Of the spans that were seen.
    """

    context: SourceContext
    links: Links = field(factory=Links)
    _handoffs: Handoffs = field(factory=Handoffs)

    def begun(self, span: ReadableSpan, within: Context | None, *, here: bool) -> None:
        """Take note of a span that has begun, *within* a context of OpenTelemetry's."""
        context = span.get_span_context()
        if context is None:
            return
        key = (context.trace_id, context.span_id)
        above = self._above(span, within)
        scope = _scope_of(span)
        work = work_of(span.name, span.attributes or {}, scope)
        if work is None:
            self.links.put(key, unknown_below(above))
        elif (left := self._left(work, span, above, scope, here=here, late=False)) is not None:
            if left.inside is not None:
                left.gone = weakref.ref(span, partial(self._lost, key))
            self.links.put(key, left)
        else:
            link = self._open(key, work, span, above, here=here)
            link.gone = weakref.ref(span, partial(self._lost, key))
            self.links.put(key, link)

    def ended(self, span: ReadableSpan, *, here: bool) -> None:
        """Take note of a span that has ended."""
        context = span.get_span_context()
        key = (0, 0) if context is None else (context.trace_id, context.span_id)
        link = self.links.get(key)
        if link is None:  # it began before anybody looked, or too long ago
            return
        if link.key == key or link.left:
            link.gone = None
        if link.left:
            self._end_left(span, link)
        elif link.key == key and link.work is not None:
            self._close(key, link.work, span, link, here=here)
        else:
            self._record_late(key, span, link, here=here)

    def end_all(self, reason: str) -> None:
        """End what is open: nobody will tell of it any more."""
        for key, link in reversed(self.links.all()):
            link.gone = None
            _leave(link)
            if link.key == key and link.work is not None:
                self.context.recorder.close(key, status="expired", reason=reason)

    def _lost(self, key: SpanKey, _gone: object) -> None:
        """End what a span told of that nobody has any more, so that nothing else falls below it."""
        link = self.links.get(key)
        if link is not None:
            _leave(link)
        self.context.recorder.close(key, status="expired", reason="its span never ended")

    # Beginnings

    def _above(self, span: ReadableSpan, within: Context | None) -> Link:
        """Find what a span lies in: the nearest ancestor that is known, whether it has ended."""
        passed = self.links.get(passed_in(within))
        if passed is not None:
            return passed
        parent = span.parent
        if parent is not None:
            return self.links.get((parent.trace_id, parent.span_id)) or _NOTHING
        if span.kind in _OF_MESSAGES:
            for one in span.links[:_MOST_LINKS]:
                found = self.links.get((one.context.trace_id, one.context.span_id))
                if found is not None:
                    return found
        return _NOTHING

    def _left(
        self, work: Work, span: ReadableSpan, above: Link, scope: str, *, here: bool, late: bool
    ) -> Link | None:
        """Give the link of a span that is left alone; None: its work is to be recorded.

        *late* is whether the span has ended.
        """
        owner = framework_of(scope)
        if (owner is not None and self.context.observed_elsewhere(owner)) or (
            here and self._is_of_another(work)
        ):
            return left_below(above, work=work, scope=scope, elsewhere=True)
        if not (calls_for(above, work) or is_same(above, work, scope, span.kind)):
            return None
        inside = None
        if here and not late and work.kind == "tool" and above.key is not None:
            inside = self.context.recorder.inside(above.key)
            inside.__enter__()
        return left_below(above, inside=inside)

    def _is_of_another(self, work: Work) -> bool:
        """Whether the running code is in this very call already, as somebody else records it: the
        source of a framework, or the application itself.
        """
        if work.kind not in ("tool", "model"):
            return False
        call = self.context.recorder.call_here(work.kind)
        if call is None or self.links.get(call.key) is not None:
            return False
        return work.kind == "model" or call.name == work.name

    def _open(
        self, key: SpanKey, work: Work, span: ReadableSpan, above: Link, *, here: bool
    ) -> Link:
        recorder = self.context.recorder
        attributes = span.attributes or {}
        told = beginning_of(self.context, work, attributes)
        around = self._around(above) if here else None
        parent: Any = above.key if around is None else recorder.HERE
        if parent is None and work.kind != "agent":
            agent = attributes.get("gen_ai.agent.name")
            told["agent_did"] = None if agent is None else self.context.did_of(agent)
        trace = recorder.open(
            work.kind,
            key,
            parent,
            trace=_told_trace(span, above.trace if around is None else around),
            timestamp_ns=span.start_time,
            activate=here and work.kind == "tool",
            **told,
        )
        beside = None if span.parent is None else (span.parent.trace_id, span.parent.span_id)
        scope = _scope_of(span)
        flies = flying_id() if here else 0
        link = Link(
            key, work, trace, scope, beside, None if around else above.key, frozenset(told), flies
        )
        if work.kind == "agent":
            self._handoffs.agent_begun(self.context, link)
        if work.kind == "tool" and trace is not None:
            self.links.put((trace.trace_id, trace.span_id), link)
        return link

    def _around(self, above: Link) -> CausalTraceId | None:
        """Give the trace of a scope of the user's own that the running code is in, where that is
        nearer than *above*.
        """
        here = current_trace()
        if here is None or above.trace is None:
            return here
        if self.links.get((here.trace_id, here.span_id)) is not None:
            return None  # a tool that this source has the code stand in
        return here if above.trace.is_ancestor_of(here, strict=True) else None

    # Ends

    def _close(
        self, key: SpanKey, work: Work, span: ReadableSpan, link: Link, *, here: bool
    ) -> None:
        recorder = self.context.recorder
        attributes = span.attributes or {}
        error = flying() if here else None
        if error is not None and id(error) == link.flying:
            error = None
        raised, told = how_it_ended(span, error)
        if work.kind == "model":
            usage = usage_of(work, attributes, link.usage)
            if usage is not None:
                recorder.point(USAGE_RECORDED, key, timestamp_ns=span.end_time, **usage)
        if raised is None and link.failure is not None:
            raised, told = link.failure.error, link.failure.told
        told = {**end_of(self.context, work, attributes, link.begun), **told}
        end = Ended(key, raised, told, span.end_time)
        if not held_back(end, link, self.links):
            self._write_end(end)
            for one in released_by(end, link):
                self._write_end(one)
        if work.kind == "tool":
            self._handoffs.tool_ended(link, self.links)

    def _write_end(self, end: Ended) -> None:
        self.context.recorder.close(end.key, end.error, timestamp_ns=end.timestamp_ns, **end.told)

    def _record_late(self, key: SpanKey, span: ReadableSpan, above: Link, *, here: bool) -> None:
        """Record a span that has told only now what it is about.

        What began in it lies beside it.
        """
        scope = _scope_of(span)
        work = work_of(span.name, span.attributes or {}, scope)
        if work is None:
            return
        left = self._left(work, span, above, scope, here=here, late=True)
        if left is not None:
            self._pass_on(work, span, left)
            return
        link = self._open(key, work, span, above, here=False)
        self.links.put(key, link)
        self._close(key, work, span, link, here=here)

    def _end_left(self, span: ReadableSpan, link: Link) -> None:
        _leave(link)
        work = work_of(span.name, span.attributes or {}, _scope_of(span))
        if work is not None:
            self._pass_on(work, span, link)

    def _pass_on(self, work: Work, span: ReadableSpan, link: Link) -> None:
        """Keep what a span tells of a call for the span that records it, which may not know.

        That is a model's tokens, and the failure of a tool: the client of MCP gets it as a result.
        """
        if work.kind == "model":
            tokens = tokens_of(work, span.attributes or {}) or link.usage
            outer = link.outer
            if tokens is not None and outer is not None and _is(outer, "model"):
                before = outer.usage or (0, 0)
                outer.usage = (before[0] + tokens[0], before[1] + tokens[1])
        elif work.kind == "tool" and link.key is not None:
            recorded = self.links.get(link.key)
            error, told = how_it_ended(span, None)
            if error is not None and recorded is not None and _is(recorded, "tool"):
                recorded.failure = Ended(link.key, error, told, None)


def _leave(link: Link) -> None:
    inside, link.inside = link.inside, None
    if inside is not None:
        inside.__exit__(None, None, None)


def _is(link: Link, kind: KindName) -> bool:
    return link.work is not None and link.work.kind == kind


def _scope_of(span: ReadableSpan) -> str:
    scope = span.instrumentation_scope
    return "" if scope is None else scope.name


def _told_trace(span: ReadableSpan, above: CausalTraceId | None) -> CausalTraceId | None:
    """Give the ids of a span as a causal id; None: it is to be one of *above*'s trace."""
    context = span.get_span_context()
    if context is None:
        return None
    with suppress(ValueError):  # ids of the user's own making
        own = CausalTraceId.from_w3c(f"{context.trace_id:032x}", f"{context.span_id:016x}")
        if above is not None:
            return own if own.trace_id == above.trace_id else None
        if span.parent is not None and span.parent.is_remote:
            parent = f"{span.parent.span_id:016x}"
            return CausalTraceId(own.trace_id, own.span_id, parent, 1)
        return own
    return None
