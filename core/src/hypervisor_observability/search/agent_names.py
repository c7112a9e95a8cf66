"""The names of agents beside their DIDs, as events give them."""

from collections import OrderedDict

from attrs import define, field

from ..events.event import HypervisorEvent
from ..events.event_types import EventType
from ..facts import payload_facts
from ..stores import History, Wanted

_MOST_NAMES = 100_000
_JOINS = Wanted(event_type=EventType.SESSION_JOINED.value)


@define(eq=False)
class AgentNames:
    """The names under which agents joined, the newest of each agent."""

    _by_did: OrderedDict[str, str] = field(factory=OrderedDict, init=False)

    def learn(self, history: History) -> None:
        """Learn all names that a history holds."""
        for entry in history.events(_JOINS):
            self.meet(entry.event)

    def learn_older(self, history: History) -> None:
        """Learn the names that a history holds of agents that have none yet."""
        for entry in history.events(_JOINS, newest_first=True):
            did = entry.event.agent_did
            if did is not None and did not in self._by_did:
                self.meet(entry.event)

    def meet(self, event: HypervisorEvent) -> None:
        """Learn the name that *event* gives, if any."""
        did = event.agent_did
        if event.event_type != EventType.SESSION_JOINED or did is None:
            return
        if name := payload_facts.text(event, "name"):
            self._by_did[did] = name
            if len(self._by_did) > _MOST_NAMES:
                self._by_did.popitem(last=False)

    def of(self, did: str) -> str:
        """Give the name of an agent; empty if it has none beside its DID."""
        name = self._by_did.get(did, "")
        return "" if name == did else name

    def all(self) -> list[str]:
        """Give every name."""
        return list(self._by_did.values())
