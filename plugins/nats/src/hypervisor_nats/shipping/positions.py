"""How far the runs of a journal were sent into one stream: a file, replaced as a whole.

A run is in it from the moment it is first seen, so that one that is removed before its turn counts
as gone. The file belongs to one stream, not to its name: a stream that was deleted and recreated
has nothing of what the former one got. If the file is missing or damaged, each run costs one
request, and nothing else: the stream itself knows how far it is.
"""

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from attrs import define, field, frozen

from hypervisor_journal.format.frames import DIGEST_BYTES
from hypervisor_journal.reading.raw_run import Place
from hypervisor_journal.runs.runs import is_run_name
from hypervisor_observability.files.atomic_file import replace_file
from hypervisor_observability.files.regular_file import read_json

_VERSION = 1
_LEAST_SAVE_SECONDS = 0.2
_RETRY_SECONDS = 1.0
_SAVE_SHARE = 20
"""Saving takes no more than one of so many parts of the time."""
_MAX_BYTES = 256 * 1024 * 1024


@frozen
class Reached:
    """How far a run was sent.

    Attributes:
        place: Behind what was acknowledged.
        last: Sequence number, in the stream, of its last message; 0: it has none there.
        subject: Of its messages; empty: the stream was not asked for them yet.
    """

    place: Place
    last: int
    subject: str


@define(eq=False)
class Positions:
    """The file.

    Attributes:
        path: Where it is.
        stream: The stream that it is about: its name, and when it was made; empty: none was seen
            yet.
        runs: How far those were sent that are not done.
        ends: Number behind the last event of those in *runs*, as far as it was seen.
        done: Names of the runs that were sent to their end.
        damage: Why the file that was there could not be used; None: it could, or there was none.
        former: The stream that the file was about before, where that was another one.
    """

    path: Path
    stream: str
    runs: dict[str, Reached] = field(factory=dict)
    ends: dict[str, int] = field(factory=dict)
    done: set[str] = field(factory=set)
    damage: str | None = None
    former: str | None = None
    _unsaved: bool = field(default=False, init=False)
    _save_due: float = field(default=0.0, init=False)
    _retry_due: float = field(default=0.0, init=False)

    @classmethod
    def read(cls, path: Path, stream: str | None) -> "Positions":
        """Read the file, if it is about *stream*; None: about any stream."""
        positions = cls(path, stream or "")
        try:
            document = read_json(path, _MAX_BYTES)
            if document["version"] != _VERSION:
                raise ValueError(f"version {document['version']}; this release reads {_VERSION}")
            if stream is None or document["stream"] in ("", stream):
                positions.stream = stream or str(document["stream"])
                runs = {name: _reached(*one[:4]) for name, one in document["runs"].items()}
                ends = {name: _number(one[4]) for name, one in document["runs"].items()}
                if not all(map(is_run_name, (*runs, *document["done"]))):
                    raise ValueError("it has a name that is not a run's")
                positions.runs, positions.ends = runs, ends
                positions.done = set(document["done"])
            else:
                positions.former = str(document["stream"])
        except FileNotFoundError:
            pass
        except (OSError, ValueError, TypeError, LookupError, AttributeError) as error:
            positions.damage = str(error) or type(error).__name__
        return positions

    def take(self, name: str, reached: Reached | None) -> None:
        """Note how far a run was sent; None: to its end."""
        if reached is None:
            self.runs.pop(name, None)
            self.ends.pop(name, None)
            self.done.add(name)
        elif self.runs.get(name) != reached:
            self.runs[name] = reached
        else:
            return
        self._unsaved = True

    def note_end(self, name: str, end: int) -> None:
        """Note the end of a run that is not done, to count its events as gone if it is removed."""
        if name in self.runs and self.ends.get(name, 0) < end:
            self.ends[name] = end
            self._unsaved = True

    def save(self, *, at_once: bool) -> bool:
        """Write the file if anything has changed, but not too often; return whether it is current.

        Args:
            at_once: Write it now, unless a write failed within the last second.

        Raises:
            OSError: It cannot be written; the old file remains.
        """
        began = time.monotonic()
        if not self._unsaved:
            return True
        if began < (self._retry_due if at_once else self._save_due):
            return False
        self._save_due = self._retry_due = began + _RETRY_SECONDS
        self._write()
        self._retry_due = 0.0
        self._unsaved = False
        took = time.monotonic() - began
        self._save_due = began + max(_LEAST_SAVE_SECONDS, _SAVE_SHARE * took)
        return True

    def _write(self) -> None:
        runs: Mapping[str, Any] = {
            name: [
                one.place.sequence,
                one.place.chain.hex(),
                one.last,
                one.subject,
                self.ends.get(name, 0),
            ]
            for name, one in self.runs.items()
        }
        document = {
            "version": _VERSION,
            "stream": self.stream,
            "runs": runs,
            "done": sorted(self.done),
        }
        replace_file(self.path, json.dumps(document, separators=(",", ":")).encode())


def _reached(sequence: Any, chain: Any, last: Any, subject: Any) -> Reached:
    value = bytes.fromhex(chain)
    if len(value) != DIGEST_BYTES:
        raise ValueError(f"not a chain value: {chain!r:.100}")
    return Reached(Place(_number(sequence), value), _number(last), str(subject))


def _number(value: Any) -> int:
    if type(value) is not int or value < 0:
        raise ValueError(f"not a number: {value!r:.100}")
    return value
