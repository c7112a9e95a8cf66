"""What agents noted of the events and spans they got: ``fleet_plugins/noting.py`` writes it."""

from collections.abc import Iterable
from pathlib import Path

from attrs import frozen

PLUGINS = Path(__file__).parent / "fleet_plugins"


@frozen
class Note:
    """What an agent was handed in one call."""

    moment: float
    pid: int
    kind: str
    ids: list[str]

    @property
    def runs(self) -> set[str]:
        """Those of numbered events, as their ids name them: ``RUN.NUMBER``."""
        return {id_.rpartition(".")[0] for id_ in self.ids}


def notes_in(directory: Path) -> list[Note]:
    """Read all notes, by time. A line that a kill cut off counts up to its last whole word."""
    notes = []
    for path in directory.iterdir():
        for line in path.read_text().splitlines(keepends=True):
            words = line.split()
            if not line.endswith("\n"):
                words = words[:-1]
            if len(words) > 2:
                notes.append(Note(float(words[0]), int(path.name), words[1], words[2:]))
    return sorted(notes, key=lambda note: note.moment)


def noted(notes: Iterable[Note], kind: str = "events") -> set[str]:
    """Give the ids of what was handed over."""
    return {id_ for note in notes if note.kind == kind for id_ in note.ids}
