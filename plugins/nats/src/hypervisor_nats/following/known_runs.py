"""The runs of a partition, as far as one reader has read them."""

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from typing import Any

from attrs import define, field

from hypervisor_nats.runs.checked_run import CheckedRun

MAX_RUNS = 10_000
"""Most runs of a partition that are known at a time: those that do not end are few."""
MAX_ENDED = 500
"""Of how many runs that ended it is remembered that they did, in a partition: the newest."""


@define(eq=False)
class KnownRuns:
    """Runs that continue, runs that do not verify, and the newest that ended."""

    _runs: "OrderedDict[str, CheckedRun]" = field(factory=OrderedDict, init=False)
    _ended: "OrderedDict[str, int]" = field(factory=OrderedDict, init=False)

    def run(self, name: str) -> CheckedRun:
        """Give the run *name* as far as it was read; a fresh one if it is not known."""
        found = self._runs.get(name)
        if found is not None:
            return found
        number = self._ended.get(name)
        # Of one that ended the chain is not kept: a repeat is passed over without a look at it, and
        # whatever comes behind its end makes it bad.
        return CheckedRun(name) if number is None else CheckedRun(name, number, None, ended=True)

    def is_known(self, name: str) -> bool:
        """Tell whether anything of it was read."""
        return name in self._runs or name in self._ended

    def ended_at(self, name: str) -> int | None:
        """Give the number behind the last event of a run that has ended; None of another."""
        return self._ended.get(name)

    def note(self, run: CheckedRun) -> None:
        """Keep how far *run* was read."""
        if run.ended and run.bad is None:
            self._runs.pop(run.name, None)
            _keep(self._ended, run.name, run.next, MAX_ENDED)
        else:
            self._ended.pop(run.name, None)
            _keep(self._runs, run.name, run, MAX_RUNS)

    @property
    def living(self) -> Iterator[str]:
        """Names of those of which more may come."""
        return (name for name, run in self._runs.items() if run.bad is None)

    def numbers(self) -> dict[str, int]:
        """Give the number behind what was read of each."""
        return {**self._ended, **{name: run.next for name, run in self._runs.items()}}

    def to_json(self, instead: Mapping[str, CheckedRun | None]) -> dict[str, Any]:
        """Write them.

        Args:
            instead: How far some of them were at the place that is written of; None: not known.
        """
        runs, ended = dict(self._runs), dict(self._ended)
        for name, run in instead.items():
            runs.pop(name, None)
            ended.pop(name, None)
            if run is not None and run.ended and run.bad is None:
                ended[name] = run.next
            elif run is not None:
                runs[name] = run
        return {"runs": [run.to_json() for run in runs.values()], "ended": ended}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "KnownRuns":
        """Read them.

        Raises:
            ValueError: They cannot be read.
        """
        known = cls()
        try:
            for one in values.get("runs", ()):
                known.note(CheckedRun.from_json(one))
            for name, number in values.get("ended", {}).items():
                known._ended[str(name)] = int(number)
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"damaged runs: {error}") from error
        return known


def _keep(among: "OrderedDict[str, Any]", name: str, value: Any, most: int) -> None:
    among[name] = value
    among.move_to_end(name)
    if len(among) > most:
        among.popitem(last=False)
