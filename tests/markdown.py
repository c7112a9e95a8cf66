"""The fenced blocks of a page of documentation."""

import re
from pathlib import Path

from attrs import frozen

_FENCED = re.compile(r"^```(\w+)([^\n]*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_TITLE = re.compile(r'title="([^"]*)"')


@frozen
class Block:
    """A block between fences.

    Attributes:
        language: What the fence names first.
        words: What it names besides: ``notest``, or a file, as ``title="app.py"``.
        text: What stands between.
        line: Number of the first line of *text*.
        before: What of the page stands before it.
    """

    language: str
    words: tuple[str, ...]
    text: str
    line: int
    before: str

    @property
    def is_run(self) -> bool:
        """Whether a test is to run it."""
        return "notest" not in self.words


def blocks_of(page: Path) -> list[Block]:
    """Give the fenced blocks of *page*, in their order."""
    text = page.read_text(encoding="utf-8")
    return [
        Block(
            language=match[1],
            words=tuple(_TITLE.sub(r"\1", match[2]).split()),
            text=match[3],
            line=text.count("\n", 0, match.start(3)) + 1,
            before=text[: match.start()],
        )
        for match in _FENCED.finditer(text)
    ]


def is_whole(page: Path) -> bool:
    """Whether *page* gives its files by name: it is run by its commands, not block by block."""
    return any(
        block.is_run and block.words and block.language == "python" for block in blocks_of(page)
    )
