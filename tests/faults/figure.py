"""A figure of a case."""

from attrs import frozen


@frozen(kw_only=True)
class Figure:
    """One figure.

    Attributes:
        fault: The row of the fault table.
        what: What was measured.
        value: As it is shown.
        goal: As it is shown; empty for none.
        holds: Whether the goal holds.
    """

    fault: str
    what: str
    value: str
    goal: str = ""
    holds: bool = True


def zeros(fault: str, what: str, *counts: int, holds: bool = True) -> Figure:
    """Give the figure of counts each of which should be 0; *holds* is a further condition."""
    return Figure(
        fault=fault,
        what=what,
        value="; ".join(f"{count:,}" for count in counts),
        goal="; ".join("0" for _ in counts),
        holds=holds and not any(counts),
    )


def within_a_minute(fault: str, what: str, seconds: float, *, holds: bool = True) -> Figure:
    """Give the figure of a time that should be at most a minute."""
    return Figure(
        fault=fault,
        what=what,
        value=f"{seconds:.1f} s",
        goal="≤ 60 s",
        holds=holds and seconds <= 60,
    )
