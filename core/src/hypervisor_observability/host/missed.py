"""What a process says when it ends: which events a plugin or the store did not get, in one line."""

from collections.abc import Iterator, Mapping
from typing import Any

from ..delivery import counts as reasons
from ..delivery.counts import Counts

_MEANINGS = {
    "rejected": "refused by the backend",
    reasons.OVERFLOW: "gone from memory before they were read",
    reasons.EXPIRED: "no longer in the journal",
    reasons.DEFERRED: "kept in the journal for the next run",
    reasons.UNVERIFIED: "not what their process recorded",
    reasons.STOPPED: "still waiting at the end",
    reasons.DOWN: "the plugin was down",
    reasons.IN_DOUBT: "sent, but never confirmed",
}
_WHERE_SHARED = {
    **_MEANINGS,
    reasons.EXPIRED: "no longer in the store",
    reasons.DEFERRED: "left to another agent, or to the next run",
}


def missed_events(plugins: Mapping[str, Counts], own: Mapping[str, Any]) -> str:
    """Say which events were not delivered, nor kept by the store; empty if there are none.

    Args:
        plugins: What became of the events, by plugin.
        own: What the host's status says of itself: ``emitted`` and ``store``.
    """
    store, emitted = own["store"], own["emitted"]
    shared = store is not None and store.get("shared")
    told = list(_undelivered(plugins, _WHERE_SHARED if shared else _MEANINGS))
    if store is not None and (lost := unkept(store, emitted)):
        told.append(f"{store['name']} {lost} of {emitted} (never written)")
    if store is not None and (waiting := unsent(store)):
        told.append(
            f"{store['name']} {waiting} of {emitted} (kept in the journal until it is sent)"
        )
    return f"events not delivered: {'; '.join(told)}" if told else ""


def unkept(store: Mapping[str, Any], emitted: int) -> int:
    """Give how many of the events that were *emitted* a store does not have, by its status."""
    if str(store.get("state", "")).startswith("down"):
        return emitted
    lost = store.get("lost")
    return lost if isinstance(lost, int) else 0


def unsent(store: Mapping[str, Any]) -> int:
    """Give how many events a store that sends them elsewhere has not sent yet."""
    unshipped = store.get("unshipped")
    return unshipped if isinstance(unshipped, int) else 0


def _undelivered(plugins: Mapping[str, Counts], meanings: Mapping[str, str]) -> Iterator[str]:
    for name, counts in plugins.items():
        missed = counts.missed
        if missed:
            total = sum(missed.values())
            why = ", ".join(
                f"{events} {meanings.get(reason, reason)}"
                if events != total
                else meanings.get(reason, reason)
                for reason, events in missed.items()
            )
            yield f"{name} {total} of {counts.wanted} ({why})"
