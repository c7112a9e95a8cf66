"""What a journal holds of a subject beside its records: saved states, dead letters, mentions.

A cursor's saved state has open and held spans, and totals, made of payloads. Whatever of it is
about the subject, or repeats what its payloads say, is taken out; the old content is overwritten.
"""

import json
import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from attrs import define, field

from hypervisor_journal.proof.erasure import events_of
from hypervisor_journal.runs.runs import Run
from hypervisor_observability.events.event import HypervisorEvent
from hypervisor_observability.files.atomic_file import replace_file

_TELLING_CHARACTERS = 16
_MAX_TEXTS = 100_000
_FEW_TEXTS = 200
_MAX_PLACES = 5
_SEPARATOR = re.compile(r"[ .:]")
_STATES = ".*.json.*.tmp", "*.json"
"""What a process left that was killed while it saved a state; and saved states."""
_TOTALS = "meters"
"""Of a saved state: its series name agents, which stay; what payloads say goes."""


@define(eq=False)
class SubjectTraces:
    """What is known of the subject: its names, and what its payloads say.

    Attributes:
        names: Ids of the agent, or of the session.
        chosen: Tells whether an event is the subject's.
        events: How many events of its own have not been erased yet.
        mentions: How many events of others still say something, by where: ``payload``,
            ``session_id``, ``agent_did``, ``causal_trace_id`` or ``parent_event_id``.
        places: Some of these events: run and sequence number.
    """

    names: frozenset[str]
    chosen: Callable[[HypervisorEvent], bool]
    events: int = 0
    mentions: Counter[str] = field(factory=Counter)
    places: list[tuple[str, int]] = field(factory=list)
    _ids: set[str] = field(factory=set)
    _texts: set[str] = field(factory=set)

    def learn(self, run: Run) -> None:
        """Read what the subject's payloads in *run* say.

        Raises:
            OSError: A segment cannot be read.
        """
        for record, event in events_of(run):
            if self.chosen(event):
                self._ids.add(event.event_id)
                self.events += not record.erased
                for text in _strings(event.payload):
                    if len(self._texts) < _MAX_TEXTS and _is_telling(text):
                        self._texts.add(text)

    def look(self, run: Run) -> None:
        """Count what the events of others in *run* still say.

        Raises:
            OSError: A segment cannot be read.
        """
        for record, event in events_of(run):
            if self.chosen(event):
                continue
            found = [key for key in _IDS if self._names_subject(getattr(event, key))]
            if any(map(self._mentions, _strings(event.payload))):
                found.append("payload")
            self.mentions.update(found)
            if found and len(self.places) < _MAX_PLACES:
                self.places.append((run.path.name, record.sequence))

    def forget(self, directory: Path, *, dry_run: bool = False) -> int:
        """Take what is about the subject out of the saved states in a journal's *directory*.

        Returns:
            In how many files there was something.

        Raises:
            OSError: One cannot be read or written.
        """
        paths = [path for pattern in _STATES for path in sorted(directory.rglob(pattern))]
        return self._rewrite_all(paths, self._forget_state, dry_run=dry_run)

    def forget_letters(self, directory: Path, *, dry_run: bool = False) -> int:
        """Take the payloads of the subject's events out of the dead letters in *directory*.

        Returns:
            In how many files there was something.

        Raises:
            OSError: One cannot be read or written.
        """
        paths = sorted(directory.glob("*.jsonl*"))  # moved away, too
        return self._rewrite_all(paths, self._forget_lines, dry_run=dry_run)

    def _rewrite_all(
        self, paths: Iterable[Path], change: Callable[[bytes], bytes], *, dry_run: bool
    ) -> int:
        files = (path for path in paths if path.is_file() and not path.is_symlink())
        return sum(self._rewrite(path, change, dry_run=dry_run) for path in files)

    def _rewrite(self, path: Path, change: Callable[[bytes], bytes], *, dry_run: bool) -> bool:
        try:
            before = path.read_bytes()
        except FileNotFoundError:
            return False
        after = change(before)
        if after == before:
            return False
        if not dry_run:
            with path.open("r+b") as old:
                replace_file(path, after, sync=True)
                # The old file has no name any more, but its blocks are still on the disk.
                old.write(bytes(len(before)))
                old.flush()
                os.fsync(old.fileno())
        return True

    def _forget_state(self, data: bytes) -> bytes:
        # A cursor has its state in the first line. The others are steps since: numbers alone.
        for first, rest in ((data, b""), _after_line(data)):
            try:
                document = json.loads(first)
            except (ValueError, RecursionError):
                continue
            forgotten = self._without(document)
            return data if forgotten == document else json.dumps(forgotten).encode("ascii") + rest
        return self._unless_about(data)

    def _unless_about(self, data: bytes) -> bytes:
        """Give *data*, which nobody can read; nothing if it is about the subject."""
        return b"" if any(self._mentions_bytes(data)) else data

    def _forget_lines(self, data: bytes) -> bytes:
        return b"".join(map(self._forget_line, data.splitlines(keepends=True)))

    def _forget_line(self, line: bytes) -> bytes:
        try:
            letter = json.loads(line)
            event = HypervisorEvent.from_dict(letter["event"])
        except (ValueError, KeyError, TypeError, RecursionError):
            return self._unless_about(line)
        reason = str(letter.get("reason", ""))
        if not self.chosen(event) or (not event.payload and "erased" in letter["event"]):
            return line
        letter["event"] = {**letter["event"], "payload": {}, "erased": True}
        letter["reason"] = "erased" if self._mentions(reason) or event.payload else reason
        return json.dumps(letter).encode("ascii") + b"\n"

    def _without(self, value: Any, *, totals: bool = False) -> Any:
        """Give *value* without the records of lists, and the entries of objects, about it."""
        if isinstance(value, list):
            return [self._without(one, totals=totals) for one in value if self._stays(one, totals)]
        if isinstance(value, Mapping):
            return {
                key: self._without(one, totals=(totals or key == _TOTALS) and key != "open")
                for key, one in value.items()
                if not (isinstance(one, str) and self._repeats(one))
            }
        return value

    def _stays(self, record: Any, totals: bool) -> bool:  # noqa: FBT001 - private
        if not isinstance(record, list | dict):
            return True
        about = self._repeats if totals else self._mentions
        return not any(map(about, _strings(record)))

    def _repeats(self, text: str) -> bool:
        """Tell whether *text* says what a payload said; names of spans have a word before it."""
        if len(self._texts) <= _FEW_TEXTS:
            return any(said in text for said in self._texts)
        return text in self._texts or any(
            text[found.end() :] in self._texts for found in _SEPARATOR.finditer(text)
        )

    def _names_subject(self, text: str | None) -> bool:
        return text is not None and any(name in text for name in self.names)

    def _mentions(self, text: str) -> bool:
        return text in self._ids or self._names_subject(text) or self._repeats(text)

    def _mentions_bytes(self, data: bytes) -> Iterator[bool]:
        for text in (*self.names, *self._texts):
            yield json.dumps(text)[1:-1].encode() in data or text.encode(errors="replace") in data


def _after_line(data: bytes) -> tuple[bytes, bytes]:
    """Give the first line, and what stands from its end on."""
    first, end, rest = data.partition(b"\n")
    return first, end + rest


_IDS = ("agent_did", "session_id", "causal_trace_id", "parent_event_id")


def _is_telling(text: str) -> bool:
    """Tell whether nobody else would say the same by chance, as of ``search`` or ``high``."""
    return len(text) >= _TELLING_CHARACTERS or any(map(str.isspace, text.strip()))


def _strings(value: Any) -> Iterator[str]:
    """Give all strings in plain values, keys of objects included."""
    waiting: list[Any] = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, str):
            yield one
        elif isinstance(one, Mapping):
            waiting += one
            waiting += one.values()
        elif isinstance(one, Iterable) and not isinstance(one, bytes):
            waiting += one
