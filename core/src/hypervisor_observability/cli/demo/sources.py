"""The sources of the small project that the demonstration releases, and edits to them.

They have a bug, which one of the tests finds.
"""

import io
import tokenize
from collections.abc import Iterator

from attrs import frozen

BUGGY = "app/textkit/lines.py"
"""The file with the bug."""

FILES = {
    "app/textkit/__init__.py": '"""Lines of text, measured and cut."""\n',
    BUGGY: '''\
def longest(words):
    """Give the longest of the words, the first of several."""
    best = ""
    for word in words:
        if len(word) > len(best):
            best = word
    return best


def shorten(text, limit):
    """Cut a text to so many characters; three dots show that something is gone."""
    if len(text) < limit:
        return text
    return text[: limit - 3] + "..."
''',
    "app/textkit/command.py": """\
import sys

from textkit.lines import longest, shorten


def main():
    text = " ".join(sys.stdin.read().split())
    print(f"{shorten(text, 24)} [{longest(text.split())}]")
""",
    "tests/__init__.py": """\
import os
import sys

sys.path.insert(0, os.environ["TEXTKIT"])
""",
    "tests/test_lines.py": """\
import unittest

from textkit.lines import longest, shorten


class LinesTest(unittest.TestCase):
    def test_first_of_the_longest_words(self):
        self.assertEqual(longest(["a", "tree", "grew"]), "tree")

    def test_nothing_is_longest_among_no_words(self):
        self.assertEqual(longest([]), "")

    def test_long_text_is_cut(self):
        self.assertEqual(shorten("a long line", 8), "a lon...")

    def test_short_text_stays(self):
        self.assertEqual(shorten("a line", 8), "a line")

    def test_text_of_just_the_limit_stays(self):
        self.assertEqual(shorten("one line", 8), "one line")
""",
}
"""Text by path within the project."""

# What people mistake for each other.
_MISTAKEN = {"<": "<=", "<=": "<", ">": ">=", ">=": ">", "==": "!=", "!=": "==", "+": "-", "-": "+"}


@frozen
class Edit:
    """A change of one operator.

    Attributes:
        line: Where, counted from 1.
        after: That line as it becomes.
        source: The whole file as it becomes.
    """

    line: int
    after: str
    source: str


def edits(source: str) -> Iterator[Edit]:
    """Give every edit that puts one operator right, should it be mistaken for another."""
    lines = source.splitlines(keepends=True)
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.OP and token.string in _MISTAKEN:
            row, column = token.start
            line = lines[row - 1]
            after = line[:column] + _MISTAKEN[token.string] + line[token.end[1] :]
            text = "".join([*lines[: row - 1], after, *lines[row:]])
            yield Edit(row, after.strip(), text)
