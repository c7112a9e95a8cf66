"""The series of sessions that ended: there for ten minutes more, then withdrawn."""

from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Any

from .instruments import Counter
from .plain_values import integer, text

LINGER_NS = 600 * 1_000_000_000
"""How long they stay, so that every scrape of a usual interval sees the last totals."""

TICK_NS = 10 * 1_000_000_000
MAX_GONE = 10_000
"""Most sessions of which it is remembered that they ended."""


class Withdrawals:
    """Withdraw what belongs to ended sessions and to agents that are gone.

    Args:
        counters: Those that have a label ``session_id``.
        works: Tells whether an agent works in any session now.
        forget_agent: Removes the gauges of an agent.
        now_ns: Gives the present time in nanoseconds since the epoch.
    """

    def __init__(
        self,
        counters: Iterable[Counter],
        *,
        works: Callable[[str], bool],
        forget_agent: Callable[[str], None],
        now_ns: Callable[[], int],
    ) -> None:
        self._counters = tuple(counters)
        self._works = works
        self._forget_agent = forget_agent
        self._now_ns = now_ns
        self._next_ns = 0
        self._sessions: dict[str, int] = {}  # to the time when their series go
        self._agents: OrderedDict[str, int] = OrderedDict()
        self._gone: OrderedDict[str, None] = OrderedDict()  # sessions that ended, the latest last

    def end_session(self, session: str) -> None:
        """Note that a session ended: its series go in ten minutes."""
        self._gone.pop(session, None)
        self._gone[session] = None
        if len(self._gone) > MAX_GONE:
            self._gone.popitem(last=False)
        if any(counter.bounded.holds(session) for counter in self._counters):
            self._sessions.setdefault(session, self._now_ns() + LINGER_NS)

    def begin_session(self, session: str) -> None:
        """Note that a session goes on, or began again."""
        self._gone.pop(session, None)
        self._sessions.pop(session, None)

    def leave(self, agent: str) -> None:
        """Note that an agent works in no session: unless it returns, its gauges go."""
        self._agents.pop(agent, None)
        self._agents[agent] = self._now_ns() + LINGER_NS
        if len(self._agents) > MAX_GONE:
            oldest, _ = self._agents.popitem(last=False)
            self._forget_agent(oldest)

    def tick(self) -> None:
        """Withdraw what is due; looks no more often than each ten seconds."""
        now_ns = self._now_ns()
        if now_ns < self._next_ns:
            return
        self._next_ns = now_ns + TICK_NS
        for session in [one for one, due_ns in self._sessions.items() if due_ns <= now_ns]:
            del self._sessions[session]
            for counter in self._counters:
                counter.withdraw(session)
        for agent in [one for one, due_ns in self._agents.items() if due_ns <= now_ns]:
            del self._agents[agent]
            if not self._works(agent):
                self._forget_agent(agent)
        self._take_stragglers()

    def state(self) -> Any:
        """Give what is due when, as plain JSON values."""
        return {"sessions": dict(self._sessions)}

    def restore(self, state: Any) -> None:
        """Take what ``state`` gave.

        Raises:
            ValueError, TypeError, KeyError, AttributeError: It is something else.
        """
        self._sessions = {text(one): integer(due) for one, due in state["sessions"].items()}
        self._gone = OrderedDict.fromkeys(self._sessions)

    def _take_stragglers(self) -> None:
        """Sessions of which something came after they had ended."""
        for counter in self._counters:
            for session in counter.bounded.sessions():
                if session in self._gone and session not in self._sessions:
                    self._sessions[session] = self._now_ns() + LINGER_NS
