"""An index over the complete segments of a journal: made by questions, for the next ones.

It is derived, and disposable: remove its folder, and the next question makes it anew. It says
where to look; what stands there is read from the segment, checked as ever, and compared with
the question again. So it keeps hashes, and no name of a session or an agent. Everything in it
is under a seal: where the disk turned a bit, a segment is unknown, and no answer is wrong.
"""

import contextlib
import os
import sqlite3
import stat
from collections.abc import Callable, Iterable, Iterator
from hashlib import blake2b
from pathlib import Path

from attrs import define, field

from hypervisor_journal.reading.index_columns import Columns, IndexedSegment, Question, places_in
from hypervisor_journal.runs.directory import INDEX

_FILE = "events.sqlite3"
_WAIT_SECONDS = 2.0
_VERSION = 1
_SEAL_BYTES = 16
_SCHEMA = """
CREATE TABLE segment (
    run TEXT, number INTEGER, state TEXT, first_ns INTEGER, last_ns INTEGER, seal BLOB,
    PRIMARY KEY (run, number)
);
CREATE TABLE kept (
    run TEXT, number INTEGER, name TEXT, data BLOB, PRIMARY KEY (run, number, name)
);
"""
# With these the file is as it should be, but not for us, not now; with others it is damaged.
_PASSING = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_INTERRUPT,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_READONLY,
    }
)


@define(eq=False)
class EventIndex:
    """The index of a journal. Whatever goes wrong with it, it says that it knows nothing.

    Attributes:
        path: Its file.
    """

    path: Path
    _database: sqlite3.Connection | None = field(default=None, init=False)
    _grows: bool = field(default=True, init=False)

    @classmethod
    def of(cls, directory: Path) -> "EventIndex":
        """Open the index of the journal in *directory*; make it where it is missing."""
        index = cls(directory / INDEX / _FILE)
        for _ in range(2):  # the first one removes what is damaged
            try:
                if _is_usable(directory, index.path):
                    index._open()
                break
            except OSError:
                break
            except sqlite3.Error as error:
                index._fail(error)
                if _is_passing(error):
                    break
        return index

    def _open(self) -> None:
        database = sqlite3.connect(self.path, timeout=_WAIT_SECONDS, isolation_level=None)
        self._database = database
        (version,) = database.execute("PRAGMA user_version").fetchone()
        # What is lost with the power is made again; what is removed is to be gone.
        database.execute("PRAGMA synchronous = OFF")
        database.execute("PRAGMA secure_delete = ON")
        if version == 0:
            with self._transaction(database):
                # Another process may have been faster.
                if database.execute("PRAGMA user_version").fetchone() == (0,):
                    for statement in _SCHEMA.split(";"):
                        database.execute(statement)
                    database.execute(f"PRAGMA user_version = {_VERSION}")
        elif version != _VERSION:
            raise sqlite3.DatabaseError(f"version {version}")

    def close(self) -> None:
        """Let go of the file."""
        if self._database is not None:
            with contextlib.suppress(sqlite3.Error):
                self._database.close()
        self._database = None

    def _fail(self, error: sqlite3.Error) -> None:
        """Know nothing from now on; what is damaged goes, to be made anew by the next question."""
        self.close()
        if not _is_passing(error):
            with contextlib.suppress(OSError):
                remove_index(self.path.parents[1])

    def find(self, segment: IndexedSegment, question: Question) -> list[int] | None:
        """Find the bytes of a segment at which there are events that may be meant.

        Returns:
            Bytes, in their order; None if the segment is not known as it is now.
        """
        if self._database is None:
            return None
        try:
            return self._find(self._database, segment, question)
        except sqlite3.Error as error:
            self._fail(error)
            return None

    def _find(
        self, database: sqlite3.Connection, segment: IndexedSegment, question: Question
    ) -> list[int] | None:
        known = database.execute(
            "SELECT first_ns, last_ns, seal FROM segment"
            " WHERE run = ? AND number = ? AND state = ?",
            (segment.run, segment.number, segment.state),
        ).fetchone()
        if known is None:
            return None
        first_ns, last_ns, seal = known
        if seal != _seal(segment, "times", repr((first_ns, last_ns)).encode()):
            return None
        if not question.meets(first_ns, last_ns):
            return []

        def load(name: str) -> bytes:
            found = database.execute(
                "SELECT data FROM kept WHERE run = ? AND number = ? AND name = ?",
                (segment.run, segment.number, name),
            ).fetchone()
            sealed = found[0] if found is not None and isinstance(found[0], bytes) else b""
            data = sealed[_SEAL_BYTES:]
            if sealed[:_SEAL_BYTES] != _seal(segment, name, data):
                raise _DamagedError
            return data

        try:
            return places_in(load, question, first_ns, last_ns)
        except _DamagedError:
            return None

    def add(self, segment: IndexedSegment, columns: Columns) -> None:
        """Add a segment, to which nothing will be appended any more."""
        if self._database is None or not self._grows or not columns:
            return
        first_ns, last_ns = columns.bounds_ns
        seal = _seal(segment, "times", repr((first_ns, last_ns)).encode())
        place = segment.run, segment.number
        try:
            with self._transaction(self._database) as database:
                _remove(database, *place)
                database.execute(
                    "INSERT INTO segment VALUES (?, ?, ?, ?, ?, ?)",
                    (*place, segment.state, first_ns, last_ns, seal),
                )
                database.executemany(
                    "INSERT INTO kept VALUES (?, ?, ?, ?)",
                    (
                        (*place, name, _seal(segment, name, data) + data)
                        for name, data in columns.as_bytes()
                    ),
                )
        except sqlite3.Error as error:
            self._stop_growing(error)

    def keep_only(self, segments: Iterable[tuple[str, int]]) -> None:
        """Remove what is known of segments that are gone; *segments* are runs and numbers."""
        if self._database is None:
            return
        there = set(segments)
        try:
            known = self._database.execute("SELECT run, number FROM segment").fetchall()
            gone = set(known) - there
            if gone:
                with self._transaction(self._database) as database:
                    for run, number in gone:
                        _remove(database, run, number)
        except sqlite3.Error as error:
            self._stop_growing(error)

    def _stop_growing(self, error: sqlite3.Error) -> None:
        self._grows = False
        if not _is_passing(error):
            self._fail(error)

    @staticmethod
    @contextlib.contextmanager
    def _transaction(database: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
        database.execute("BEGIN IMMEDIATE")
        try:
            yield database
            database.execute("COMMIT")
        except BaseException:
            with contextlib.suppress(sqlite3.Error):
                database.execute("ROLLBACK")
            raise


class _DamagedError(Exception):
    """A seal is broken."""


def remove_index(directory: Path) -> None:
    """Remove the index of the journal in *directory*, if there is one.

    Raises:
        OSError: It cannot be removed.
    """
    folder = directory / INDEX
    if folder.is_symlink() or not folder.is_dir():
        return  # what it leads to is not ours
    for path in folder.glob(f"{_FILE}*"):
        if path.is_symlink() or path.is_file():
            path.unlink(missing_ok=True)


def _is_usable(directory: Path, path: Path) -> bool:
    """Make folder and file where they are missing; tell whether they are ours, and no trap.

    Raises:
        OSError: They cannot be made, or looked at.
    """
    if directory.stat().st_uid != os.geteuid():
        return False  # who owns the journal could not use what we would leave there
    with contextlib.suppress(FileExistsError):
        path.parent.mkdir(mode=0o700)
    if not _is_own(path.parent.lstat(), stat.S_ISDIR):
        return False
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    # SQLite looks for files beside its own, and would wait for who writes a FIFO.
    return all(_is_own(one.lstat(), stat.S_ISREG) for one in path.parent.iterdir())


def _is_own(status: os.stat_result, is_kind: Callable[[int], bool]) -> bool:
    mine = status.st_uid == os.geteuid() and not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    return mine and is_kind(status.st_mode)


def _is_passing(error: sqlite3.Error) -> bool:
    code = getattr(error, "sqlite_errorcode", None)
    return code is not None and code & 0xFF in _PASSING


def _seal(segment: IndexedSegment, name: str, data: bytes) -> bytes:
    key = blake2b(segment.identity, digest_size=_SEAL_BYTES).digest()
    return blake2b(data, digest_size=_SEAL_BYTES, key=key, person=name.encode()).digest()


def _remove(database: sqlite3.Connection, run: str, number: int) -> None:
    database.execute("DELETE FROM segment WHERE run = ? AND number = ?", (run, number))
    database.execute("DELETE FROM kept WHERE run = ? AND number = ?", (run, number))
