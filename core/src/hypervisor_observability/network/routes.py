"""The addresses of a host in the order in which they are tried: who failed last comes last."""

from collections.abc import Callable, Sequence

from attrs import define, field

from .deadline import Deadline
from .lookup import Address, Lookup


def _any(_: Address) -> None:
    """Permit whatever it is."""


@define(eq=False)
class Routes:
    """Where a host is, and which of its addresses to try first. For one thread.

    Attributes:
        lookup: Tells the addresses.
        check: Is shown every address before one of them is used; raises to forbid all.
    """

    lookup: Lookup
    check: Callable[[Address], None] = _any
    _failed: dict[Address, int] = field(factory=dict, init=False)
    _failures: int = field(default=0, init=False)

    def addresses(self, deadline: Deadline) -> list[Address]:
        """Give the addresses, those that have not failed first, as the system orders them.

        Raises:
            UnansweredError: No answer has come in time to where the host is.
            OSError: The host has none.
        """
        found: Sequence[Address] = self.lookup.addresses(deadline)
        for address in found:
            self.check(address)
        self._failed = {one: at for one, at in self._failed.items() if one in found}
        return sorted(found, key=lambda address: self._failed.get(address, 0))

    def avoid(self, address: Address) -> None:
        """Try the others before *address* from now on, and have the name looked up again."""
        self._failures += 1
        self._failed[address] = self._failures
        self.lookup.look_again()
