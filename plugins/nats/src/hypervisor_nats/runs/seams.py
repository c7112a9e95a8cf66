"""Where a message belongs in its run: what its head says, beside what was reached."""

from typing import Protocol

from attrs import frozen

from hypervisor_journal.proof.chain_walk import BEGINNING, BadRecordError
from hypervisor_nats.messages import Head


class Reached(Protocol):
    """How far a run was read."""

    @property
    def next(self) -> int:
        """Sequence number that comes next."""

    @property
    def chain(self) -> bytes | None:
        """Chain value behind the last record that takes a number; None: nothing was seen yet, or,
        of a run that has ended, it is not known any more.
        """

    @property
    def ended(self) -> bool:
        """Whether its last message was taken."""


@frozen
class Fit:
    """Where a message belongs.

    Attributes:
        missing: How many numbers before it never came.
        follows: Whether it goes on in the chain that was reached, without a seam to be looked at.
        repeats: Whether it begins with records that were taken before.
    """

    missing: int = 0
    follows: bool = False
    repeats: bool = False


def fit(reached: Reached, head: Head) -> Fit:
    """Say where a message belongs.

    Raises:
        BadRecordError: It belongs nowhere: what it says contradicts what was reached.
    """
    if reached.chain is None and not reached.ended:
        if head.first == 0 and head.chain != BEGINNING:
            raise BadRecordError(0, "another record came before the first one")
        return Fit()
    if head.first < reached.next or (reached.ended and head.first == reached.next):
        if head.next == reached.next and reached.chain not in (None, head.then):
            raise BadRecordError(reached.next, "the same numbers came with other records")
        if reached.ended and head.next > reached.next:
            raise BadRecordError(reached.next, "more comes behind the end of the run")
        return Fit(repeats=True)
    if reached.ended:
        raise BadRecordError(reached.next, "more comes behind the end of the run")
    if head.chain == reached.chain:  # a number that is left out was lost by the run's writer
        return Fit(follows=True)
    if head.first == reached.next:
        raise BadRecordError(reached.next, "a record before this message is missing")
    return Fit(missing=head.first - reached.next)
