"""What a journal's directory tells of itself: how much there is, who writes it, what proves it.

The ledger knows that of runs that have ended. Of others the newest segment is read, and after that
only what has come since.
"""

import contextlib
from pathlib import Path

from attrs import define, field

from hypervisor_journal.format.encoding import BadEventError, event_of
from hypervisor_journal.format.frames import Record
from hypervisor_journal.reading.reader import RunReader
from hypervisor_journal.reading.segment_reader import Damage
from hypervisor_journal.runs.run_ledger import EndedRun, RunLedger
from hypervisor_journal.runs.runs import Run, bytes_in, run_names
from hypervisor_observability.stores import Description

ANCHOR_EVENT = "observability.checkpoint"
"""Type of an anchor on its way through the plugins: whoever keeps it elsewhere can prove the
journal."""

_MOST_PROBLEMS = 20
_ANCHOR_BYTES = ANCHOR_EVENT.encode()


@define(eq=False)
class _Looked:
    """A run, as far as it was looked at.

    Attributes:
        run: The run.
        problems: Its damaged places that were come across, each once.
        first: Sequence number of its oldest event.
        end: Sequence number behind its newest event.
        lives: Whether its process lived when it was looked at.
        ended: Whether it was read to its end, and nobody writes it any more.
        bytes: On the disk.
        proven: When its newest anchor was made, in nanoseconds since the epoch, and how many
            events that vouches for; None: none was come across.
    """

    run: Run
    problems: dict[str, None] = field(factory=dict, init=False)
    first: int = field(default=0, init=False)
    end: int = field(default=0, init=False)
    lives: bool = field(default=False, init=False)
    ended: bool = field(default=False, init=False)
    bytes: int = field(default=0, init=False)
    proven: tuple[int, int] | None = field(default=None, init=False)
    _reader: RunReader = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._reader = RunReader(self.run, self._note)

    def look(self) -> None:
        """Read what has come; nothing more comes once its process has ended.

        Raises:
            OSError: It cannot be read at present, or has gone.
        """
        self.lives = self.run.is_written()  # before it is read to its end
        starts = self._reader.starts
        if starts:
            self.first, self.end = starts[0], max(self.end, starts[-1])
            for record in self._reader.records(self.end):
                self.end = record.sequence + 1
                if _ANCHOR_BYTES in record.head:
                    self._take_anchor(record)
        self.bytes = bytes_in(self.run.path)
        self.ended = not self.lives

    def _take_anchor(self, record: Record) -> None:
        with contextlib.suppress(BadEventError):
            event = event_of(record)
            events = event.payload.get("sequence")
            if event.event_type == ANCHOR_EVENT and type(events) is int:
                self.proven = record.time_ns, events

    def _note(self, damage: Damage) -> None:
        if len(self.problems) < _MOST_PROBLEMS:
            self.problems[f"cannot be read: {damage}"] = None


@define(eq=False)
class JournalDescriber:
    """Describes a journal again and again, and changes nothing in it.

    Attributes:
        directory: Of the journal.
    """

    directory: Path
    _ledger: RunLedger = field(init=False)
    _looked: dict[str, _Looked] = field(factory=dict, init=False)
    _firsts: dict[tuple[str, int], int] = field(factory=dict, init=False)

    def __attrs_post_init__(self) -> None:
        self._ledger = RunLedger(self.directory)

    def describe(self) -> Description:
        """Tell of the journal, as it is.

        Raises:
            OSError: The directory cannot be read at present.
        """
        if not self.directory.is_dir():
            return Description(runs=0, problems=(f"there is no directory {self.directory}",))
        names = run_names(self.directory)
        with contextlib.suppress(OSError):  # then each run is looked at
            self._ledger.look()
        events = size = 0
        problems: list[str] = []
        for name in names:
            known = self._ledger.runs.get(name)
            try:
                if known is not None and known.segments:
                    events += known.end - self._first(name, known)
                    size += known.other_bytes + sum(one.size for one in known.segments)
                    # What the ledger knows has no anchor's time; the newest run is worth a look.
                    if name == names[-1]:
                        self._look(name)
                else:
                    looked = self._look(name)
                    events += looked.end - looked.first
                    size += looked.bytes
            except FileNotFoundError:
                continue  # the bounds of the directory removed it
            except OSError as error:
                problems.append(f"cannot be read: {self.directory / name}: {error}")
        self._forget(names)
        looked_at = sorted(self._looked.items())
        problems += [text for _, one in looked_at for text in one.problems]
        if len(problems) > _MOST_PROBLEMS:
            more = len(problems) - _MOST_PROBLEMS
            problems[_MOST_PROBLEMS:] = [f"and {more} more places cannot be read"]
        proofs = [(*one.proven, name) for name, one in looked_at if one.proven is not None]
        time_ns, proven, run = max(proofs, default=(None, None, None))
        return Description(
            runs=len(names),
            living=tuple(name for name, one in looked_at if one.lives),
            events=events,
            bytes=size,
            proven_at=None if time_ns is None else time_ns / 1e9,
            proven_run=run,
            proven_events=proven,
            problems=tuple(problems),
        )

    def _look(self, name: str) -> _Looked:
        looked = self._looked.get(name)
        if looked is None:
            looked = self._looked[name] = _Looked(Run(self.directory / name))
        if not looked.ended:
            looked.look()
        return looked

    def _first(self, name: str, known: EndedRun) -> int:
        """Give the number of a run's oldest event: the bounds may have removed those before it."""
        number = known.segments[0].number
        if number == 0:
            return 0
        if (name, number) not in self._firsts:
            starts = RunReader(Run(self.directory / name)).starts
            self._firsts[name, number] = starts[0] if starts else known.end
        return self._firsts[name, number]

    def _forget(self, names: list[str]) -> None:
        there = set(names)
        self._looked = {name: one for name, one in self._looked.items() if name in there}
        self._firsts = {key: one for key, one in self._firsts.items() if key[0] in there}
