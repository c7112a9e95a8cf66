"""Which events a command is about, as people ask for them: by patterns, and by names."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from fnmatch import fnmatchcase
from itertools import islice

from attrs import define, evolve, field

from ..events.event import HypervisorEvent
from ..facts.trouble import is_trouble
from ..stores import Entry, Follower, History, Wanted
from .agent_names import AgentNames
from .searched_text import Words

_GLOB = frozenset("*?[")
_MOST_NEWEST = 100_000


@define(eq=False, kw_only=True)
class Choice:
    """The events that match every option given.

    A store finds what is exact by its index. Patterns, and names of agents, are compared here.

    Attributes:
        wanted: What is exact: sessions, traces and times.
        event_type: A type, or a pattern such as ``ring.*``.
        agent: An agent's DID or name, or a pattern of either.
        text: Words that must all be in the event somewhere; see ``searched_text.Words``.
        wrong_only: Only what says that something went wrong; see ``facts.trouble``.
        names: The agents' names, as far as they are known.
    """

    wanted: Wanted = field(factory=Wanted)
    event_type: str | None = None
    agent: str | None = None
    text: Sequence[str] = ()
    wrong_only: bool = False
    names: AgentNames = field(factory=AgentNames)
    _words: Words = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._words = Words(self.text)

    @property
    def is_everything(self) -> bool:
        """Whether no option was given."""
        return (
            self.event_type is None
            and self.agent is None
            and not self.text
            and not self.wrong_only
            and self.wanted == Wanted()
        )

    @property
    def needs_names(self) -> bool:
        """Whether it is not clear without the agents' names which events are meant."""
        by_name = self.agent is not None and not self.agent.startswith("did:")
        return by_name or bool(self.text)

    def learn_names(self, history: History, *, shown: bool) -> None:
        """Learn the agents' names before anything else is read, if it is not clear without that
        which agent is meant.

        Args:
            history: Where to learn them from.
            shown: Whether they are shown, too, and will not be met in time.
        """
        if shown or self.needs_names:
            self.names.learn(history)

    def covers(self, event: HypervisorEvent) -> bool:
        """Tell whether *event* is one of them."""
        self.names.meet(event)
        return (
            (self.event_type is None or matches(event.event_type.value, self.event_type))
            and (self.agent is None or self._is_by(event.agent_did))
            and self.wanted.covers(event)
            and (not self.wrong_only or is_trouble(event))
            and (not self.text or self._words.are_in(event, self._name_of(event)))
        )

    def missing_words(self, event: HypervisorEvent) -> Sequence[str]:
        """Give those words of ``text`` that are nowhere in *event*."""
        return self._words.missing(event, self._name_of(event))

    def events(self, history: History, limit: int | None = None) -> Iterator[Entry]:
        """Give them, oldest first; only the newest so many if there is a *limit*."""
        narrowed, chosen = self._narrowed()
        if chosen is None:
            for entry in history.events(narrowed, limit=limit):
                self.names.meet(entry.event)
                yield entry
            return
        if limit is None:
            yield from (entry for entry in history.events(narrowed) if chosen(entry.event))
            return
        found = (entry for entry, is_chosen in self.backwards(history) if is_chosen)
        yield from reversed(list(islice(found, limit)))

    def backwards(self, history: History) -> Iterator[tuple[Entry, bool]]:
        """Give what is read to find them, the newest first, each with whether it is one of them: so
        who has waited long enough can stop anywhere.
        """
        narrowed, chosen = self._narrowed()
        for entry in history.events(narrowed, newest_first=True):
            self.names.meet(entry.event)
            yield entry, chosen is None or chosen(entry.event)

    def newest(self, follower: Follower, count: int) -> list[Entry]:
        """Give the newest *count* of them that a follower has, oldest first."""
        narrowed, chosen = self._narrowed()
        if chosen is None or not count:
            return list(follower.newest(narrowed, count))
        asked = count
        while True:
            asked = min(asked * 8, _MOST_NEWEST)
            given = follower.newest(narrowed, asked)
            found = deque((one for one in given if chosen(one.event)), maxlen=count)
            if len(found) == count or len(given) < asked or asked == _MOST_NEWEST:
                return list(found)

    def _narrowed(self) -> tuple[Wanted, Callable[[HypervisorEvent], bool] | None]:
        """Give what a store can find, and what has yet to be compared; None if nothing has."""
        narrowed, whole = self.wanted, not self.text and not self.wrong_only
        if self.event_type is not None:
            if _is_pattern(self.event_type):
                whole = False
            else:
                narrowed = evolve(narrowed, event_type=self.event_type)
        if self.agent is not None:
            if _is_pattern(self.agent) or self.agent in self.names.all():
                whole = False
            else:
                narrowed = evolve(narrowed, agent_did=self.agent)
        return narrowed, None if whole else self.covers

    def _name_of(self, event: HypervisorEvent) -> str:
        return self.names.of(event.agent_did or "")

    def _is_by(self, did: str | None) -> bool:
        if did is None or self.agent is None:
            return False
        return matches(did, self.agent) or matches(self.names.of(did), self.agent)


def _is_pattern(text: str) -> bool:
    return not _GLOB.isdisjoint(text)


def matches(text: str, pattern: str) -> bool:
    """Tell whether *text* is *pattern*, or matches it as a glob (``*``, ``?``, ``[]``)."""
    return text == pattern or fnmatchcase(text, pattern)
