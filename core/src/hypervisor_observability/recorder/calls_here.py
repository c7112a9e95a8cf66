"""Calls of tools and models that the running code is in, whoever records them.

A framework and the client library below it may both be observed, and would tell of one call twice:
whoever records the inner one asks here. A context variable holds the innermost call that was begun
in this context. It is never set back, since callbacks have no block to leave: a call that is over
is passed over.
"""

from collections.abc import Hashable
from contextvars import ContextVar
from typing import Literal

from attrs import define

CallKind = Literal["tool", "model"]


@define(eq=False)
class CallHere:
    """A call of a tool or a model, while it lasts.

    Attributes:
        kind: ``tool`` or ``model``.
        name: Of the tool or the model.
        key: Under which it is open; None: it is a scope.
        owner: Tells the recorder apart that records it.
        is_over: Whether it has ended.
    """

    kind: str
    name: str
    key: Hashable
    owner: object
    is_over: bool = False
    _outer: "CallHere | None" = None


_innermost: ContextVar[CallHere | None] = ContextVar(
    "hypervisor_observability.recorder.calls_here", default=None
)


def begin_call(owner: object, kind: str, name: str, key: Hashable = None) -> CallHere:
    """Note that a call begins here."""
    outer = _innermost.get()
    if outer is not None:
        outer = _open(outer)
    if outer is not None:
        outer._outer = _open(outer._outer)  # else calls that overlap would keep all before them
    call = CallHere(kind, name, key, owner, False, outer)
    _innermost.set(call)
    return call


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
