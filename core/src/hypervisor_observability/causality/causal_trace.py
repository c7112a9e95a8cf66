"""Causal trace ids: who started what, over agents, threads and processes.

An id reads ``{trace_id}/{span_id}[/{parent_span_id}]``. Ids are values: equal by what
they say, and never changed.
"""

from collections.abc import Mapping, MutableMapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Final, final

from attrs import Factory, field, frozen

from ..events import ids
from ..events.dataclass_view import DataclassFields
from ..events.lazy_slots import install
from . import carriers, lineage, traceparent
from .choices import Accept, check_accept
from .id_text import checked_part, parts_of
from .lineage import Lineage, new_span
from .standing import activate

_WIDE: Final = 32  # digits of a W3C trace id
_FULL: Final = lineage.FULL  # a global of this module is read in half the time
_ABOVE: Final = 2  # entries of a line in front of its first span


@final
@frozen(weakref_slot=False, getstate_setstate=False)
class CausalTraceId(Lineage):
    """The place of one piece of work in the tree of what caused it.

    ``CausalTraceId()`` starts a tree, ``child()`` goes down in it. Any short ids can be
    given: 1 to 64 of ASCII letters, digits, ``_`` and ``-``, not all zeros.

    Attributes:
        trace_id: Common to the whole tree. Drawn: 12 lower-case hexadecimal digits.
        span_id: This piece of work. Drawn: 8 digits; 16 in a trace of the W3C's form.
        parent_span_id: The piece of work that caused it; None at a root, or if unknown.
        depth: Steps below the root, as far as known; not part of ``full_id``.

    Raises:
        TypeError: An id is no string, or *depth* no integer.
        ValueError: An id is not as above, or *depth* is negative.
    """

    # The defaults are told to readers of attrs.fields(); __new__ is what draws.
    trace_id: str = field(default=Factory(lambda: ids.trace_id_text(ids.next_number())))
    span_id: str = field(default=Factory(lambda: ids.span_id_text(ids.next_number())))
    parent_span_id: str | None = None
    depth: int = 0

    __dataclass_fields__ = DataclassFields()
    if TYPE_CHECKING:
        # Type checkers read here what attrs.evolve takes.
        def __init__(
            self,
            trace_id: str | None = None,
            span_id: str | None = None,
            parent_span_id: str | None = None,
            depth: int = 0,
        ) -> None: ...

    def __new__(
        cls,
        trace_id: str | None = None,
        span_id: str | None = None,
        parent_span_id: str | None = None,
        depth: int = 0,
    ) -> "CausalTraceId":
        """Draw what is not given, and check what is."""
        # One number serves both ids, which are the bits of it under two bijections.
        if trace_id is None and span_id is None and parent_span_id is None and depth == 0:
            draft: Any = _Draft()
            draft.trace_id = draft.span_id = number = ids.next_number()
            draft.parent_span_id = None
            draft.depth = 0
            draft._line = (number, True, number)
            draft.orphan_root = False
            draft.__class__ = CausalTraceId
            return draft  # type: ignore[no-any-return]  # it is one since the line above
        return _given(trace_id, span_id, parent_span_id, depth)

    @classmethod
    def wide(cls) -> "CausalTraceId":
        """Start a tree with ids as wide as the W3C's: 32 and 16 digits.

        For more than a million traces a day, or more than some ten thousand spans in one,
        where short ids would meet.
        """
        trace = ids.wide_trace_id_text(ids.next_number())
        span = new_span(trace)
        return _build(trace, span, None, 0, (trace, True, span), False)

    def child(self) -> "CausalTraceId":
        """Make the id of work that this work causes."""
        # The line holds what the lazy slots hold, but reading it converts nothing.
        line = self._line
        trace = line[0]
        plain = type(trace) is int or len(trace) != _WIDE
        span = ids.next_number() if plain else new_span(trace)
        draft: Any = _Draft()
        draft.trace_id = trace
        draft.span_id = span
        draft.parent_span_id = line[-1]
        draft.depth = self.depth + 1
        draft._line = line + (span,) if len(line) < _FULL else lineage.longer(line, span)  # noqa: RUF005 - half the time of (*line, span)
        draft.orphan_root = False
        draft.__class__ = CausalTraceId
        return draft  # type: ignore[no-any-return]  # it is one since the line above

    def sibling(self) -> "CausalTraceId":
        """Make the id of work beside this work: same parent, same depth.

        The sibling of a root has depth 0 and is marked as ``orphan_root``.
        """
        above = self._line[:-1]
        span = ids.next_number() if type(above[0]) is int else new_span(above[0])
        parent = above[-1] if len(above) > _ABOVE else None
        orphan = parent is None and self.depth == 0
        return _build(above[0], span, parent, self.depth, (*above, span), orphan)

    @property
    def full_id(self) -> str:
        """The id as text, at most 194 characters; ``from_string`` reads it."""
        parent = self.parent_span_id
        short = f"{self.trace_id}/{self.span_id}"
        return short if parent is None else f"{short}/{parent}"

    def __str__(self) -> str:
        return self.full_id

    @property
    def is_native(self) -> bool:
        """Whether the id was drawn by this package, in its short or its wide form."""
        return traceparent.is_native(self.trace_id, self.span_id)

    @classmethod
    def from_string(cls, text: str) -> "CausalTraceId":
        """Read a ``full_id``. With a parent its depth is 1, since it tells no more.

        Raises:
            TypeError: *text* is not a string.
            ValueError: It is not an id; the message says what is wrong.
        """
        trace, span, parent = parts_of(text)
        return _placed(trace, span, parent, 0 if parent is None else 1)

    @classmethod
    def or_none(cls, text: object) -> "CausalTraceId | None":
        """Read what was recorded as a causal id, as ``from_string`` does; None if it is none."""
        try:
            return cls.from_string(text) if isinstance(text, str) else None
        except ValueError:
            return None

    def is_ancestor_of(self, other: "CausalTraceId", *, strict: bool = False) -> bool:
        """Tell whether this work caused *other*, directly or not.

        Certain where the path between them is known, as it is for ids made by ``child()``
        and for a parent's link in a parsed id. Where it is not, whatever lies deeper in
        the same trace counts, unless *strict*: then only what is certain does.
        """
        if not traceparent.is_same_trace(self.trace_id, other.trace_id):
            return False
        known = lineage.is_above(self.span_id, self._line, other.span_id, other._line)
        return (not strict and other.depth > self.depth) if known is None else known

    def to_w3c(self) -> tuple[str, str]:
        """Give the trace id of 32 and the span id of 16 digits that stand for this id."""
        trace_id, span_id = self.trace_id, self.span_id
        return traceparent.widen_trace(trace_id), traceparent.widen_span(trace_id, span_id)

    @classmethod
    def from_w3c(cls, trace32: str, span16: str, *, depth: int = 0) -> "CausalTraceId":
        """Give the id that a W3C pair stands for: a short one if it is native.

        Raises:
            TypeError, ValueError: As ``traceparent.check_wide``; *depth* is negative.
        """
        traceparent.check_wide(trace32, span16)
        trace, span = traceparent.narrow_pair(trace32, span16) or (trace32, span16)
        # Its parent is unknown rather than absent: this need not be a root.
        return _given(trace, span, None, depth, from_root=False)

    def to_traceparent(self, *, sampled: bool = True) -> str:
        """Write the id as a W3C ``traceparent``."""
        flags = traceparent.SAMPLED if sampled else 0
        return traceparent.format_traceparent(*self.to_w3c(), flags=flags)

    @classmethod
    def from_traceparent(cls, text: str, tracestate: str | None = None) -> "CausalTraceId":
        """Read a W3C ``traceparent``: the sender's id, with the depth from *tracestate*.

        Raises:
            TypeError, ValueError: As ``traceparent.parse_traceparent``.
        """
        trace32, span16, _ = traceparent.parse_traceparent(text)
        depth = traceparent.depth_in_tracestate(tracestate)
        return cls.from_w3c(trace32, span16, depth=depth)

    def inject(self, carrier: MutableMapping[str, str], *, environment: bool = False) -> bool:
        """Write the id into *carrier* as ``traceparent`` and ``tracestate``. Never raises.

        Entries of other vendors in its ``tracestate`` are kept. *environment* writes the
        names in capitals, as the environment of a subprocess has them.

        Returns:
            Whether it was written: it is not into what cannot be written to.
        """
        return carriers.inject(carrier, self, environment=environment)

    @classmethod
    def extract(cls, carrier: Mapping[str, str], *, accept: Accept = "link") -> "CausalTraceId":
        """Give the id to work under on account of what *carrier* brought.

        Args:
            carrier: Headers or an environment.
            accept: ``"continue"`` is for senders that may write into our traces: the id is
                a child of theirs. ``"link"`` and ``"restart"`` start a trace of our own;
                ``propagation.extract`` tells them apart by the link that it gives.

        Returns:
            A new root where nothing was brought, or nothing that can be read.

        Raises:
            ValueError: *accept* is none of the three; nothing else raises.
        """
        check_accept(accept)
        sender, _ = carriers.extract(carrier, cls.from_traceparent)
        return cls() if sender is None or accept != "continue" else sender.child()

    def activate(self) -> AbstractContextManager["CausalTraceId"]:
        """Make this the current trace for the length of a ``with`` block."""
        return activate(self)

    def __reduce__(self) -> tuple[Any, ...]:
        # Unpickling and copying fill a twin too: no generated method can fill lazy slots.
        values = (self.trace_id, self.span_id, self.parent_span_id, self.depth)
        return _build, (*values, lineage.as_text(self._line), self.orphan_root)


class _Draft(Lineage):
    """The twin of ``CausalTraceId`` that can be assigned to.

    Filling it and giving it its class takes a third of the time of a frozen ``__init__``.
    Python allows that between classes with the same slots and base.
    """

    __slots__ = ("depth", "parent_span_id", "span_id", "trace_id")


# Type checkers know the signature from it; at run time __new__ does its work.
del CausalTraceId.__init__
install(CausalTraceId, "trace_id", ids.trace_id_text)
install(CausalTraceId, "span_id", ids.span_id_text)
install(CausalTraceId, "parent_span_id", ids.span_id_text)


def _build(
    trace: int | str,
    span: int | str,
    parent: int | str | None,
    depth: int,
    line: lineage.Line,
    orphan_root: bool,  # noqa: FBT001 - unpickling passes it by position
) -> CausalTraceId:
    draft: Any = _Draft()
    draft.trace_id = trace
    draft.span_id = span
    draft.parent_span_id = parent
    draft.depth = depth
    draft._line = line
    draft.orphan_root = orphan_root
    draft.__class__ = CausalTraceId
    return draft  # type: ignore[no-any-return]  # it is one since the line above


def _given(
    trace: object, span: object, parent: object, depth: object, *, from_root: bool = True
) -> CausalTraceId:
    """Build an id from what somebody gave; what is None is drawn."""
    if not isinstance(depth, int):
        raise TypeError(f"depth: expected an integer, got {type(depth).__name__}")
    if depth < 0:
        raise ValueError(f"depth: expected 0 or more, got {depth}")
    trace_id = CausalTraceId().trace_id if trace is None else checked_part("trace_id", trace)
    span_id = new_span(trace_id) if span is None else checked_part("span_id", span)
    parent_id = None if parent is None else checked_part("parent_span_id", parent)
    return _placed(trace_id, span_id, parent_id, int(depth), from_root=from_root)


def _placed(
    trace_id: str, span_id: str, parent_id: str | None, depth: int, *, from_root: bool = True
) -> CausalTraceId:
    """Build an id of parts that were checked."""
    if parent_id is None:
        line: lineage.Line = (trace_id, from_root and not depth, span_id)
    else:
        line = (trace_id, False, parent_id, span_id)
    return _build(trace_id, span_id, parent_id, depth, line, False)
