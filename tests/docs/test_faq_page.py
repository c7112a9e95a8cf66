"""The messages that the page of questions explains are those that the code has."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
HEADING = re.compile(r"^### `([^`]+)`$", re.MULTILINE)
# What a message is filled with: an address, a name of a plugin or a hook, whatever "..." is for.
FILLED = re.compile(r"\.\.\.|\d+(?:\.\d+)+:\d+|\botel\b|hypervisor\.toml|\bexport_events\b|: ")


def texts() -> Iterator[str]:
    """Give the texts in the code that ships, each in one piece however it is written down."""
    for file in (*ROOT.glob("core/src/**/*.py"), *ROOT.glob("plugins/*/src/**/*.py")):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value


def test_every_message_that_is_explained_is_one_of_ours() -> None:
    page = (ROOT / "docs/faq.md").read_text("utf-8")
    known = "\n".join(texts())
    pieces = [
        piece.strip()
        for message in HEADING.findall(page)
        for piece in FILLED.split(message)
        if " " in piece.strip()
    ]
    # The system's words, and not ours.
    pieces.remove("Connection refused")

    assert len(pieces) > 6
    assert [piece for piece in pieces if piece not in known] == []
