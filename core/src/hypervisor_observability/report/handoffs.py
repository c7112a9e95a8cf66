"""Who handed work over to whom, and how often."""

from collections import Counter

from attrs import define, field

from ..events.event import HypervisorEvent
from ..facts import payload_facts
from ..facts.usage import OTHER

MOST_PAIRS = 1_000
"""How many pairs of agents are told apart; further ones are ``other``."""
_MOST_NAMES = 10_000


@define(eq=False)
class DidsByName:
    """Which agents work under which names, as far as a name stands for one alone."""

    # None: it stands for several.
    _dids: dict[str, str | None] = field(factory=dict, init=False)

    def meet(self, event: HypervisorEvent) -> None:
        """Learn the name of an agent that joins."""
        did, name = event.agent_did, payload_facts.name(event, "name")
        if did is None or len(self._dids) >= _MOST_NAMES:
            return
        self._dids[did] = did  # what is a DID is nobody else's name
        if name and self._dids.setdefault(name, did) not in {did, name}:
            self._dids[name] = None

    def did_of(self, name: str) -> str:
        """Give the DID of who is called *name*, which may be a DID; *name* where none is known."""
        return self._dids.get(name) or name


@define(eq=False)
class Handoffs:
    """Handoffs by who gives and who takes: an agent is named by its DID, or by the name that it
    works under, which may become known only later.

    Attributes:
        names: The names that are known.
    """

    names: DidsByName = field(factory=DidsByName)
    _pairs: Counter[tuple[str, str]] = field(factory=Counter, init=False)

    def add(self, event: HypervisorEvent) -> None:
        """Count a handoff."""
        giver, taker = (one or payload_facts.UNKNOWN for one in payload_facts.handoff(event))
        pair = (giver, taker)
        known = pair in self._pairs or len(self._pairs) < MOST_PAIRS
        self._pairs[pair if known else (OTHER, OTHER)] += 1

    def pairs(self) -> Counter[tuple[str, str]]:
        """Give how often each agent handed over to which other, by their DIDs where known."""
        found: Counter[tuple[str, str]] = Counter()
        for (giver, taker), count in self._pairs.items():
            found[self.names.did_of(giver), self.names.did_of(taker)] += count
        return found
