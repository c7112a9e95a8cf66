"""The contract with a store: a plugin that keeps events beyond the memory of the process.

A store has up to three hooks (see :mod:`hypervisor_observability.hookspecs`), one for each place
that needs what it keeps:

- ``open_store`` gives a ``Store``, which records what is emitted, before the log has it.
  ``Observability`` asks for it, in a process that emits.
- ``open_history`` gives a ``History``: what was recorded, by all processes. ``hvobs query``,
  ``tail``, ``tree``, ``report`` and ``replay`` ask for it.
- ``follow_store`` gives a ``FollowedStore``: an event stream for each reader over what all
  processes record. ``hvobs agent`` asks for it. Where the streams are ``SharedStream``, several
  agents share the work.

At most one store is on. What a store must hold in each of these roles is written down as tests:
subclass :class:`hypervisor_observability.testing.StoreContract`.
"""

from .followed import FollowContext, FollowedStore, FollowedStream, SharedStream
from .history import (
    EVERYTHING,
    DescribedHistory,
    Description,
    Entry,
    Follower,
    History,
    HistoryContext,
    RecentFollower,
    Wanted,
    describe,
    finds_fast,
    recent,
    trace_key,
    trace_of,
)
from .store import OnlyReadError, ReaderStream, Store, StoreContext

__all__ = [
    "EVERYTHING",
    "DescribedHistory",
    "Description",
    "Entry",
    "FollowContext",
    "FollowedStore",
    "FollowedStream",
    "Follower",
    "History",
    "HistoryContext",
    "OnlyReadError",
    "ReaderStream",
    "RecentFollower",
    "SharedStream",
    "Store",
    "StoreContext",
    "Wanted",
    "describe",
    "finds_fast",
    "recent",
    "trace_key",
    "trace_of",
]
