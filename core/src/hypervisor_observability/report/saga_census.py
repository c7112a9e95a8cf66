"""How many sagas there were, and how each ended: every one counted once."""

import hashlib
from collections import Counter

from attrs import define, field

from .timeline import bounded_kind

MOST_COUNTED = 1_000_000
"""How many sagas are told apart; of further ones, none is counted."""

_RUNNING = ""


@define(eq=False)
class SagaCensus:
    """Sagas by a digest of their ids, which is far smaller than what is known of them.

    Attributes:
        outcomes: How many ended in which way; of one that ended more than once, the last.
        is_complete: Whether there were no more of them than can be told apart.
    """

    outcomes: Counter[str] = field(factory=Counter)
    is_complete: bool = True
    _ended: dict[int, str] = field(factory=dict, init=False)

    def __len__(self) -> int:
        return len(self._ended)

    def meet(self, saga_id: str) -> bool:
        """Count the saga, unless that was done before; tell whether it is new."""
        key = _key(saga_id)
        if key in self._ended:
            return False
        if len(self._ended) >= MOST_COUNTED:
            self.is_complete = False
            return False
        self._ended[key] = _RUNNING
        return True

    def end(self, saga_id: str, outcome: str) -> None:
        """Note how a saga ended that was met."""
        key = _key(saga_id)
        before = self._ended.get(key)
        if before is None:
            return
        if before != _RUNNING:
            self.outcomes[before] -= 1
            self.outcomes += Counter()  # without those that are none
        outcome = bounded_kind(self.outcomes, outcome)
        self.outcomes[outcome] += 1
        self._ended[key] = outcome


def _key(saga_id: str) -> int:
    digest = hashlib.blake2b(saga_id.encode("utf-8", "surrogatepass"), digest_size=8)
    return int.from_bytes(digest.digest())
