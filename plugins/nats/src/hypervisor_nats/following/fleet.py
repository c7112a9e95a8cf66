"""What a reader's stream needs of the agent that it is of."""

from collections.abc import Sequence
from typing import Protocol

from hypervisor_nats.following.entries import Entry, Snapshot
from hypervisor_nats.following.term import Term


class Fleet(Protocol):
    """What a stream needs of the agent that it is of."""

    def check(self) -> None:
        """Make sure that what this agent has is its own still.

        Raises:
            StreamUnavailableError: It may not be.
        """

    @property
    def keeps(self) -> bool:
        """Whether it has what it has, for all that it knows."""

    def look(self, reader: str, terms: Sequence[Term]) -> None:
        """Find out how much waits for a reader in what it has.

        Raises:
            StreamUnavailableError: It cannot be told.
        """

    def waiting(self, term: Term) -> int:
        """Give how many events wait behind what was taken in *term*."""

    def save(self, term: Term, entry: Entry, snapshot: Snapshot | None) -> bool:
        """Save it. Never raises; tells whether it was saved."""

    def wake(self, term: Term) -> None:
        """Have messages come for which there is room now."""

    def rewind(self, term: Term) -> None:
        """Begin *term* at its state again.

        Raises:
            StreamUnavailableError: It cannot be done at present.
        """

    @property
    def patience(self) -> float:
        """Longest time to wait for a message that has to come, in seconds."""
