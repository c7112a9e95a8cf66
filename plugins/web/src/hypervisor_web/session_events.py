"""The events of sessions: from the history or the ring, and then as they come."""

import shlex
from bisect import bisect_left
from collections.abc import Iterable, Sequence

from attrs import define

from hypervisor_observability.stores import Entry, Wanted
from hypervisor_web.feed.endpoints import OpenHistory
from hypervisor_web.feed.observers import Observers


@define(eq=False)
class RecordedSessions:
    """Finds the events of sessions.

    Attributes:
        observers: Who has the newest events.
        history: Opens what was recorded before; None: there is nothing but the newest.
    """

    observers: Observers
    history: OpenHistory | None

    def past(self, session: str, most: int) -> Iterable[Entry]:
        """Give the newest events of a session, at most so many, in their order."""
        if self.history is None:
            newest = self._found(session)[-most:]
            return [entry for _, entry in self.observers.ring.pick(newest)]
        with self.history() as history:
            return list(history.events(Wanted(session_id=session), limit=most))

    def news(self, session: str, place: int | None) -> tuple[int, Iterable[Entry]] | None:
        """Give what has come since the last call, and the place to go on from at the next.

        Args:
            session: The session.
            place: Where to go on, a position of the ring; None: with what comes from now on.

        Returns:
            None where some of it is not kept any more.
        """
        ring = self.observers.ring
        following = ring.next
        if place is None:
            return following, ()
        found = self._found(session)
        news = list(ring.pick(found[bisect_left(found, place) : bisect_left(found, following)]))
        # Last: what was let go meanwhile is missing in what was found.
        if not ring.oldest <= place <= following:
            return None
        return following, [entry for _, entry in news]

    def _found(self, session: str) -> Sequence[int]:
        """Give the positions of a session's events; each event is looked at once."""
        view = self.observers.views.get(f"--session={shlex.quote(session)}")
        return view.positions(*view.look())
