"""The contract with a store: a plugin that keeps events beyond the memory of the process.

A store has up to three hooks (see :mod:`hypervisor_observability.hookspecs`), one for each place
in which somebody needs what it keeps:

=================  =================================  ==========================================
hook               gives                              asked by
=================  =================================  ==========================================
``open_store``     ``Store``: records what is         ``Observability``, in a process that emits
                   emitted, before the log has it
``open_history``   ``History``: what was recorded,    ``hvobs query``, ``tail``, ``tree``,
                   by all processes                   ``report``, ``replay``
``follow_store``   ``FollowedStore``: an event        ``hvobs agent``
                   stream for each reader over what
                   all processes record
=================  =================================  ==========================================

At most one store is on. What a store must hold in each of these roles is written down as tests:
subclass :class:`hypervisor_observability.testing.StoreContract`.
"""

from .followed import FollowContext, FollowedStore, FollowedStream
from .history import (
    EVERYTHING,
    Entry,
    Follower,
    History,
    HistoryContext,
    Wanted,
    trace_key,
    trace_of,
)
from .store import ReaderStream, Store, StoreContext

__all__ = [
    "EVERYTHING",
    "Entry",
    "FollowContext",
    "FollowedStore",
    "FollowedStream",
    "Follower",
    "History",
    "HistoryContext",
    "ReaderStream",
    "Store",
    "StoreContext",
    "Wanted",
    "trace_key",
    "trace_of",
]
