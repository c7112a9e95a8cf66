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
        check: Called with every address before one of them is used. It raises to forbid all.
    """

    lookup: Lookup
    check: Callable[[Address], None] = _any
    _failed: dict[Address, int] = field(factory=dict, init=False)
    _failures: int = field(default=0, init=False)

    def addresses(self, deadline: Deadline) -> list[Address]:
        """Return the addresses in the system's order, those that have failed last.

        Raises:
            UnansweredError: The look-up was not answered in time.
            OSError: The host has none.
        """
        found: Sequence[Address] = self.lookup.addresses(deadline)
        for address in found:
            self.check(address)
        self._failed = {one: at for one, at in self._failed.items() if one in found}
        return sorted(found, key=lambda address: self._failed.get(address, 0))

    def avoid(self, address: Address) -> None:
        """Try *address* last from now on, and look the name up again."""
        self._failures += 1
        self._failed[address] = self._failures
        self.lookup.look_again()
