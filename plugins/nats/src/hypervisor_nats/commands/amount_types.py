"""Options that take a duration, or an amount of bytes."""

from collections.abc import Callable
from typing import Any

import click

from hypervisor_nats.upkeep.amounts import NO_BOUND, read_bytes, read_seconds


class Amount(click.ParamType):  # type: ignore[type-arg]  # generic for type checkers alone
    """A value that is read from text.

    Args:
        name: What ``--help`` calls it.
        read: Reads it.
        may_be_unbounded: Whether ``unlimited`` is a value, too: 0.
    """

    def __init__(
        self, name: str, read: Callable[[str], Any], *, may_be_unbounded: bool = False
    ) -> None:
        self.name = name
        self._read, self._may_be_unbounded = read, may_be_unbounded

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Read text; say what is wrong with it."""
        if not isinstance(value, str):
            return value
        if self._may_be_unbounded and value == NO_BOUND:
            return 0
        try:
            return self._read(value)
        except ValueError as error:
            more = f", or {NO_BOUND}" if self._may_be_unbounded else ""
            self.fail(f"{error}{more}", param, ctx)


def _count(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and 0 < int(text) < 2**63):
        raise ValueError(f"{text!r} is not a number: expected 1000000")
    return int(text)


DURATION = Amount("DURATION", read_seconds)
BOUNDED_DURATION = Amount("DURATION", read_seconds, may_be_unbounded=True)
BOUNDED_BYTES = Amount("BYTES", read_bytes, may_be_unbounded=True)
BOUNDED_COUNT = Amount("NUMBER", _count, may_be_unbounded=True)
