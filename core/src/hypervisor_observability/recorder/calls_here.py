"""Calls of tools and models that the running code is in, whoever records them.

A framework and the client library below it may both be observed, and would tell of one call twice:
whoever records the inner one asks here. A context variable holds the innermost call that was begun
in this context. It is never set back, since callbacks have no block to leave: a call that is over
is passed over, and so is one that nobody is left to end.
"""

from collections.abc import Hashable
from contextvars import ContextVar
from typing import Literal

from attrs import define, field

CallKind = Literal["tool", "model"]


@define(eq=False)
class CallHere:
    """A call of a tool or a model, while it lasts.

    Attributes:
        kind: ``tool`` or ``model``.
        name: Of the tool or the model.
        key: Under which it is open; None: it is a scope.
        owner: Tells the recorder apart that records it.
        is_over: Whether it has ended, or nobody can end it any more.
    """

    kind: str
    name: str
    key: Hashable
    owner: object
    is_over: bool = False
    _outer: "CallHere | None" = field(default=None, repr=False)


@define(eq=False)
class OpenCall:
    """What whoever can end a call holds: the call is over when the last of them lets go of this.

    Contexts hold calls alone. A recorder may be dropped with calls open, a scope entered and never
    left, and a fork's child has the calls of its parent: no call that follows is inside of those.
    """

    _here: CallHere

    def end(self) -> None:
        """Note that it is over."""
        self._here.is_over = True

    __del__ = end


_innermost: ContextVar[CallHere | None] = ContextVar(
    "hypervisor_observability.recorder.calls_here", default=None
)


def begin_call(owner: object, kind: str, name: str, key: Hashable = None) -> OpenCall:
    """Note that a call begins here, until what this gives is ended or dropped."""
    outer = _innermost.get()
    if outer is not None:
        outer = _open(outer)
    if outer is not None:
        outer._outer = _open(outer._outer)  # else calls that overlap would keep all before them
    call = CallHere(kind, name, key, owner, False, outer)
    _innermost.set(call)
    return OpenCall(call)


def call_here(owner: object, kind: CallKind) -> CallHere | None:
    """Give what ``Recorder.call_here`` does, of the recorder that is *owner*."""
    call = _open(_innermost.get())
    while call is not None and (call.kind != kind or call.owner is not owner):
        call = _open(call._outer)
    return call


def _open(call: CallHere | None) -> CallHere | None:
    while call is not None and call.is_over:
        call = call._outer
    return call
