"""The end of the demonstration: per plugin whether everything came through, as told and as JSON."""

from collections.abc import Mapping
from typing import Any

from attrs import asdict, field, frozen

from ...delivery.counts import Counts
from .comparison import Emitted, Received

COUNTED_HERE = "as counted here; the backend itself was not asked"


@frozen(kw_only=True)
class PluginReport:
    """What became of the work's events at one plugin.

    Attributes:
        name: The plugin.
        state: ``running``, ``down: <why>``, ``not installed`` or ``off``.
        counts: Its counts; None if it is not on.
        received: What a backend inside the command has; None where it is not asked.
        problems: What differs; empty if all is well.
    """

    name: str
    state: str
    counts: Counts | None = None
    received: Received | None = None
    problems: tuple[str, ...] = ()

    def line(self) -> str:
        """Tell it in a line."""
        if self.counts is None or self.state.startswith("down"):
            return f"{self.name}: {self.state}"
        dropped = f"dropped {self.counts.dropped_total}"
        if self.received is not None:
            told = self.received
            return (
                f"{self.name}: delivered {told.received} of {told.emitted} {told.unit},"
                f" {dropped} ({told.how})"
            )
        extra = "".join(
            f", {word} {number}"
            for word, number in (
                ("rejected", self.counts.rejected),
                ("pending", self.counts.pending + self.counts.in_flight),
            )
            if number
        )
        return (
            f"{self.name}: delivered {self.counts.delivered} of {self.counts.emitted} events,"
            f" {dropped}{extra} ({COUNTED_HERE})"
        )


@frozen(kw_only=True)
class DemoReport:
    """What the demonstration has to tell.

    Attributes:
        trace_id: The trace of the work.
        emitted: What the work has emitted.
        sagas: How each saga ended, by its id.
        plugins: A report for each plugin.
        problems: What is wrong with the work itself.
        seconds: How long all of it took.
        folder: Where the project is kept; None if it was removed.
    """

    trace_id: str
    emitted: Emitted
    sagas: Mapping[str, str]
    plugins: tuple[PluginReport, ...]
    problems: tuple[str, ...] = field(default=())
    seconds: float
    folder: str | None = None

    def all_problems(self) -> list[str]:
        """Give everything that is wrong, each naming its plugin."""
        of_plugins = [
            f"{report.name}: {problem}" for report in self.plugins for problem in report.problems
        ]
        return [*self.problems, *of_plugins]

    def as_json(self) -> dict[str, Any]:
        """Give plain values for ``--json``."""
        return {
            "ok": not self.all_problems(),
            "problems": self.all_problems(),
            "trace_id": self.trace_id,
            "events": self.emitted.types.total(),
            "events_by_type": dict(sorted(self.emitted.types.items())),
            "spans": len(self.emitted.spans),
            "sagas": dict(self.sagas),
            "plugins": list(map(asdict, self.plugins)),
            "seconds": round(self.seconds, 3),
            "folder": self.folder,
        }


def judge(name: str, state: str, counts: Counts, received: Received | None) -> PluginReport:
    """Report on a plugin that is on, with everything that is wrong.

    Args:
        name: The plugin.
        state: ``running``, or ``down: <why>``.
        counts: Its counts once it was flushed.
        received: What a backend inside the command has; None where it was not asked.
    """
    problems = [state] if state != "running" else []
    problems += law_broken(counts)
    if not problems:
        problems += _undelivered(counts)
    if received is not None:
        problems += received.differences
    return PluginReport(
        name=name, state=state, counts=counts, received=received, problems=tuple(problems)
    )


def law_broken(counts: Counts) -> list[str]:
    """Say where the figures of *counts* do not add up; nothing if they do."""
    sum_ = counts.delivered + counts.rejected + counts.dropped_total
    sum_ += counts.in_flight + counts.pending
    if sum_ == counts.emitted:
        return []
    sides = (
        f"emitted {counts.emitted}, but delivered {counts.delivered} + rejected {counts.rejected}"
        f" + dropped {counts.dropped_total} + in flight {counts.in_flight}"
        f" + pending {counts.pending} = {sum_}"
    )
    return [f"the counts do not add up: {sides}"]


def _undelivered(counts: Counts) -> list[str]:
    """Say what the backend was to have and has not taken."""
    missed = dict(counts.missed)
    wrong = []
    if rejected := missed.pop("rejected", 0):
        wrong.append(f"{rejected} events were rejected")
    if waiting := counts.pending + counts.in_flight:
        wrong.append(f"{waiting} events still wait: the backend has not taken them")
    return wrong + [f"{number} events were dropped ({why})" for why, number in missed.items()]
