"""The list of runs of which a plugin has everything: no later process looks at them again.

A batch may end many small runs. They have no cursors of their own then: the list alone says that
they are delivered, so it is synced, and what cannot be read of it is waited for.
"""

import os
from collections.abc import Callable, Collection, Sequence
from contextlib import ExitStack
from io import FileIO
from pathlib import Path

from attrs import define, field

from hypervisor_journal.locks import wait_for_lock
from hypervisor_journal.runs.runs import is_run_name
from hypervisor_observability.files.atomic_file import replace_file, sync_folder
from hypervisor_observability.files.regular_file import open_regular, read_regular

_WITH_STATE = b" +"
_SPARE_LINES = 256
_MAX_BYTES = 256 * 1024 * 1024


@define(eq=False)
class DeliveredRuns:
    """The list of one plugin.

    Attributes:
        path: Its file.
        on_damage: Told of the byte and the text of a line that is none; its run is looked at again.
        names: Of the runs.
        with_state: Name of the newest one whose cursor holds a state; None where none does.
    """

    path: Path
    on_damage: Callable[[int, str], object] = lambda _offset, _line: None
    names: set[str] = field(factory=set, init=False)
    with_state: str | None = field(default=None, init=False)

    def read(self, present: Collection[str]) -> None:
        """Read the list, and leave runs out that have gone, if they are many.

        Args:
            present: Names of the runs that there are.

        Raises:
            OSError: It cannot be read at present.
        """
        try:
            lines = self._read()
        except FileNotFoundError:
            return
        self.names &= set(present)
        if self.with_state not in self.names:
            self.with_state = None
        if lines > 4 * len(self.names) + _SPARE_LINES:
            self._compact(present)

    def _read(self) -> int:
        lines = offset = 0
        try:
            data = read_regular(self.path, _MAX_BYTES)
        except ValueError as error:
            raise OSError(f"{self.path}: {error}") from error
        whole = data[: data.rfind(b"\n") + 1]  # what is torn at the end was never noted
        for line in whole.split(b"\n"):
            name = line.removesuffix(_WITH_STATE).decode("ascii", "replace")
            if is_run_name(name):
                lines += 1
                self.names.add(name)
                if line.endswith(_WITH_STATE):
                    self.with_state = max(name, self.with_state or "")
            elif line:
                self.on_damage(offset, repr(line[:80]))
            offset += len(line) + 1
        return lines

    def note(self, names: Sequence[str], *, with_state: str | None = None) -> None:
        """Note that the plugin has all of these runs, and in which of them its state is kept.

        Raises:
            OSError: It is not noted; to be tried again.
        """
        if not names:
            return
        lines = [_line(name, with_state) for name in names]
        self.path.parent.mkdir(mode=0o700, exist_ok=True)
        with self._open() as file:
            is_new = os.fstat(file.fileno()).st_size == 0
            # It begins with an end of line: the one before may have been torn.
            data = b"\n" + b"".join(lines)
            if os.write(file.fileno(), data) != len(data):
                raise OSError(f"{self.path}: it was written in part")
            getattr(os, "fdatasync", os.fsync)(file.fileno())
        if is_new:
            sync_folder(self.path.parent)
            sync_folder(self.path.parent.parent)
        self.names.update(names)

    def _open(self) -> FileIO:
        """Open the list to append to it; while it is open, nobody replaces it."""
        while True:
            with ExitStack() as on_failure:
                file = open_regular(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
                on_failure.enter_context(file)
                wait_for_lock(file)
                if os.fstat(file.fileno()).st_nlink:
                    on_failure.pop_all()
                    return file
            # It was replaced before it was locked.

    def _compact(self, present: Collection[str]) -> None:
        with self._open():
            self._read()  # what was appended meanwhile
            self.names &= set(present)
            lines = [_line(name, self.with_state) for name in sorted(self.names)]
            replace_file(self.path, b"".join(lines), sync=True)


def _line(name: str, with_state: str | None) -> bytes:
    return name.encode("ascii") + (_WITH_STATE if name == with_state else b"") + b"\n"
