"""What is measured against what, and what is to be reached."""

from enum import Enum
from typing import Any

from attrs import Factory, field, frozen


class Environment(Enum):
    """Where a side runs; the value is the virtual environment's folder name."""

    OURS = "bench-ours"
    PEER = "bench-peer"
    NEIGHBOURS = "bench-neighbours"
    FRAMEWORKS = "bench-frameworks"


class Unit(Enum):
    """How a figure is shown: its name, and how many of the base unit it has."""

    SECONDS = ("s", 1.0)
    MICROSECONDS = ("µs", 1e-6)
    MILLISECONDS = ("ms", 1e-3)
    BYTES = ("B", 1.0)
    MIB = ("MiB", 1024.0 * 1024.0)
    PER_SECOND = ("/s", 0.0)
    LINES = ("lines", 1.0)
    EVENTS = ("events", 1.0)
    PERCENT = ("%", 0.01)

    def show(self, value: float) -> str:
        """Write *value*, which is in seconds or bytes; a rate is that of seconds an item."""
        name, size = self.value
        if self is Unit.PER_SECOND:
            return f"{1 / value:,.0f} {name}"
        number = value / size
        digits = (
            0 if number >= 100 or self in {Unit.LINES, Unit.EVENTS} else 1 if number >= 10 else 2
        )
        return f"{number:,.{digits}f} {name}"


@frozen(kw_only=True)
class Goal:
    """What a row has to reach; what is None does not matter.

    Attributes:
        times: The other side's figure is at least so many times ours.
        cost: Ours is at most so many times the other side's.
        limit: Ours is at most this, in seconds or bytes.
        below: Ours is less than this.
    """

    times: float | None = None
    cost: float | None = None
    limit: float | None = None
    below: float | None = None


@frozen(kw_only=True)
class Row:
    """A line of the table.

    Attributes:
        title: What is done.
        measure: Name of the figure in what a round gives.
        unit: How it is shown.
        goal: What is to be reached; None: for scale.
        smallest: Whether ours is the smallest of the rounds' figures, each of which is a
            maximum: what the code itself does shows in every round.
    """

    title: str
    measure: str = "seconds"
    unit: Unit = Unit.MICROSECONDS
    goal: Goal | None = None
    smallest: bool = False


@frozen
class Side:
    """A process that measures.

    Attributes:
        environment: Where.
        case: Module of ``benchmarks.cases``.
        options: What its ``prepare`` gets; *ports* of ``sinks`` are added.
    """

    environment: Environment
    case: str
    options: dict[str, Any] = Factory(dict)


@frozen(kw_only=True)
class Case:
    """Two sides that are measured in turn, and the rows that come of it.

    Attributes:
        name: For ``--only``.
        group: Heading of its rows.
        other_name: What the other side is.
        ours: Our side.
        other: The other one, if there is one.
        rows: What is shown.
        rounds: How often both are measured.
        fresh: Whether each round needs new processes.
        sinks: Receivers to run meanwhile; their ports go to ``ports`` or ``port``.
        full_only: Whether a quick run leaves it out.
    """

    name: str
    group: str
    other_name: str
    ours: Side
    other: Side | None
    rows: tuple[Row, ...]
    rounds: int = field(default=9)
    fresh: bool = False
    sinks: tuple[str, ...] = ()
    full_only: bool = False
