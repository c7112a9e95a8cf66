"""Carry causal trace ids over a process boundary, and decide whom to believe on arrival.

The format is W3C Trace Context, so that every peer that speaks it takes part. A peer can
write what it likes into a header, so what becomes of it is for the receiver to say:

- ``"link"``: a trace of our own, with a link to theirs. For peers that are not ours.
- ``"continue"``: a child of theirs. For peers that may write into our traces.
- ``"restart"``: a trace of our own; theirs is not looked at again.
"""

import itertools
from collections.abc import Callable, Collection, Mapping, MutableMapping
from typing import Any, Literal, get_args

from attrs import define, field, frozen

from ..events import ids
from ..text.limited_log import LimitedLog
from ..threads.interruptions import ignoring, is_from_handler
from . import baggage, carriers, traceparent
from .causal_trace import CausalTraceId
from .choices import Accept, IdWidth, check_accept, check_id_width
from .current_trace import current_trace

Outcome = Literal["accepted", "refused", "absent"]


@frozen(eq=False)
class _Once:
    """Something that can be taken once, by any thread; copies hold nothing to be taken."""

    _left: list[bool]

    def take(self) -> bool:
        try:
            return self._left.pop()
        except IndexError:
            return False

    def __reduce__(self) -> tuple[Any, ...]:
        return _Once, ([],)


@frozen
class Extracted:
    """What became of the trace id that a carrier brought.

    Attributes:
        trace: The id to work under: a child of the sender's, or a new root.
        link: The sender's id, where it is to be linked rather than continued.
        outcome: Whether an id was there and could be read.
        reason: Why it was refused; empty if it was not.
        sampled: The sender's decision to record the trace; None unless it is continued.
        tracestate: The entries of other vendors; empty unless the trace is continued.
        baggage: What of the sender's baggage is on the list; empty unless the trace is
            continued.
    """

    trace: CausalTraceId
    link: CausalTraceId | None = None
    outcome: Outcome = "absent"
    reason: str = ""
    sampled: bool | None = None
    tracestate: str = ""
    baggage: Mapping[str, str] = field(factory=dict)
    _once: "_Once" = field(init=False, eq=False, repr=False, factory=lambda: _Once([True]))

    def next_trace(self) -> CausalTraceId:
        """Give an id for one piece of work that the message asked for: ``trace``, once.

        Further ones stand beside it: right below the sender too, or in a trace of their own. So
        does all that is asked of copies, such as other processes get.
        """
        if self._once.take():
            return self.trace
        beside = self.trace.sibling()
        return beside if not beside.orphan_root else _root_like(self.trace)


def new_root(id_width: IdWidth) -> CausalTraceId:
    """Start a tree with ids of a width."""
    return CausalTraceId.wide() if id_width == "w3c" else CausalTraceId()


def _root_like(trace: CausalTraceId) -> CausalTraceId:
    return CausalTraceId.wide() if traceparent.is_wide_trace(trace.trace_id) else CausalTraceId()


def inject(
    carrier: MutableMapping[str, str],
    trace: CausalTraceId | None = None,
    *,
    environment: bool = False,
    sampled: bool = True,
    tracestate: str = "",
) -> bool:
    """Write a trace id into *carrier* as ``traceparent`` and ``tracestate``. Never raises.

    Args:
        carrier: Headers or an environment, changed in place. Entries of other vendors in
            its ``tracestate`` are kept.
        trace: The current trace if None; where none is active, nothing is written.
        environment: Write the names in capitals, as variables of an environment.
        sampled: Whether this process records the trace.
        tracestate: Entries of other vendors to hand on: ``Extracted.tracestate``.

    Returns:
        False if *carrier* could not be written to, or *trace* is no trace.
    """
    trace = current_trace() if trace is None else trace
    return trace is None or carriers.inject(
        carrier, trace, environment=environment, sampled=sampled, tracestate=tracestate
    )


def extract(
    carrier: Any,
    *,
    accept: Accept = "link",
    id_width: IdWidth = "short",
    allowed_baggage: Collection[str] = (),
) -> Extracted:
    """Decide what to work under on account of what *carrier* brought.

    Names are found in any case, so ``os.environ`` is a carrier too. In the ``environ`` of a WSGI
    server they are what stands under ``HTTP_TRACEPARENT`` and so on.

    Args:
        carrier: Headers, an environment, or what else maps strings to strings; or pairs of
            strings or bytes, as ASGI and Kafka have them.
        accept: The rule of trust.
        id_width: How wide the ids of a trace of our own are drawn.
        allowed_baggage: Names that are read of the ``baggage`` of a trace that is continued.

    Raises:
        ValueError: *accept* or *id_width* is none that there is. Nothing that *carrier* holds
            raises.
    """
    check_accept(accept)
    check_id_width(id_width)
    found, error = carriers.extract(carrier, _sender)
    if found is None:
        root = new_root(id_width)
        if error is None:
            return Extracted(root)
        return Extracted(root, outcome="refused", reason=ids.as_text(error))
    sender, sampled, state = found
    if accept != "continue":
        link = sender if accept == "link" else None
        return Extracted(new_root(id_width), link, "accepted")
    return Extracted(
        sender.child(),
        outcome="accepted",
        sampled=sampled,
        tracestate=traceparent.other_vendors(state),
        baggage=_read_baggage(carrier, allowed_baggage),
    )


def _sender(parent: str, state: str) -> tuple[CausalTraceId, bool, str]:
    trace32, span16, flags = traceparent.parse_traceparent(parent)
    depth = traceparent.depth_in_tracestate(state)
    sender = CausalTraceId.from_w3c(trace32, span16, depth=depth)
    return sender, bool(flags & traceparent.SAMPLED), state


def _read_baggage(carrier: Any, allowed: Collection[str]) -> dict[str, str]:
    if not allowed:
        return {}
    with ignoring(Exception):  # a carrier that raises has none; the trace was read
        return baggage.parse(carriers.read_baggage(carrier), allowed)
    return {}


class _Tally:
    """A number that grows by one at a time, from any thread.

    It advances in one C call: no lock, so nothing that a fork could leave locked.
    """

    def __init__(self) -> None:
        self._count = itertools.count()
        self.add: Callable[[], int] = self._count.__next__

    def __int__(self) -> int:
        # Its text, "count(3)", is the one view of a count that does not advance it.
        return int(repr(self._count)[len("count(") : -1])


@define(eq=False)
class Propagator:
    """``inject`` and ``extract`` under one rule of trust, with counts of what arrived.

    May be used from any thread.

    Attributes:
        accept: The rule: ``"link"``, ``"continue"`` or ``"restart"``.
        id_width: How wide the ids of traces of our own are drawn.
        allowed_baggage: What may travel as ``baggage``, of ``baggage.NAMES``: it is written
            with every id, and read where the trace is continued. Nothing by default.
        baggage_here: Gives all that could travel, in the place of the running code.
    """

    accept: Accept = field(default="link", validator=lambda _, __, value: check_accept(value))
    id_width: IdWidth = field(default="short", validator=lambda _, __, value: check_id_width(value))
    allowed_baggage: Collection[str] = ()
    baggage_here: Callable[[], Mapping[str, str]] = field(default=dict, kw_only=True)
    _counts: Mapping[str, _Tally] = field(
        init=False, factory=lambda: {what: _Tally() for what in (*get_args(Outcome), "unwritten")}
    )
    _log: LimitedLog = field(init=False, factory=lambda: LimitedLog(__name__))

    @property
    def accepted(self) -> int:
        """How many carriers brought an id that could be read."""
        return int(self._counts["accepted"])

    @property
    def refused(self) -> int:
        """How many carriers brought something that could not."""
        return int(self._counts["refused"])

    @property
    def absent(self) -> int:
        """How many carriers brought nothing."""
        return int(self._counts["absent"])

    @property
    def unwritten(self) -> int:
        """How many carriers could not be written to."""
        return int(self._counts["unwritten"])

    def inject(
        self,
        carrier: MutableMapping[str, str],
        trace: CausalTraceId | None = None,
        *,
        environment: bool = False,
        sampled: bool = True,
        tracestate: str = "",
    ) -> bool:
        """Do what the function ``inject`` does, and write the ``baggage`` that is allowed.

        What cannot be written to is counted, and logged at a limited rate. Never raises.
        """
        written = inject(
            carrier, trace, environment=environment, sampled=sampled, tracestate=tracestate
        )
        try:
            if written and self.allowed_baggage and (trace or current_trace()) is not None:
                self._write_baggage(carrier, environment=environment)
        except Exception as error:  # it stands in the path of what the application sends
            if is_from_handler(error):
                raise
            written = False
        if not written:
            self._counts["unwritten"].add()
            kind = type(carrier).__name__
            self._log.warning(kind, "no trace id can be written into a carrier of type %s", kind)
        return written

    def _write_baggage(self, carrier: MutableMapping[str, str], *, environment: bool) -> None:
        here = self.baggage_here()
        ours = {name: here[name] for name in self.allowed_baggage if name in here}
        text = baggage.write(ours, carriers.read_baggage(carrier))
        if text:
            carriers.write_baggage(carrier, text, environment=environment)

    def extract(self, carrier: Any) -> Extracted:
        """Do what the function ``extract`` does, and count the outcome. Never raises."""
        extracted = extract(
            carrier,
            accept=self.accept,
            id_width=self.id_width,
            allowed_baggage=self.allowed_baggage,
        )
        self._counts[extracted.outcome].add()
        return extracted
