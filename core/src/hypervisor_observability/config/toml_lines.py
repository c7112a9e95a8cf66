"""Find the line of every key of a TOML text, and refuse texts made to keep a parser busy.

``tomllib`` tells no positions, and some small files cost it many seconds: a single dotted
key of 20,000 parts takes over 10 s. So the text is read once by this scanner first. It
knows strings, comments and brackets, and nothing of values; what is no TOML it passes
over, for ``tomllib`` to refuse. Its time grows with the length of the text alone.
"""

import re
import tomllib
from collections.abc import Iterator, Mapping

from attrs import define, field

KeyPath = tuple[str | int, ...]
"""Keys from the top of the document down; the elements of arrays are counted from 0."""

MAX_DOTS = 32
"""Most dots in one key or table header."""
MAX_NESTING = 16
"""Most brackets and braces open at once in a value."""
MAX_TABLES = 256
"""Most table headers in a text."""
MAX_KEYS = 2_000
"""Most keys in a text."""
MAX_LEXEMES = 20_000
"""Most words, strings, marks and line breaks in a text; bounds the time of the scan."""

# A string that does not end runs to where TOML would have it end, so that every character
# is looked at once. TOML 1.0, section String: up to two quotes may stand before the end of
# a multi-line string.
_LEXEMES = re.compile(
    r'''
    (?P<comment> \#[^\n]* )
  | (?P<newline> \n )
  | (?P<string>
        """ (?: \\. | [^"\\] | "(?!"") )*+ (?: """"{0,2} )?
      | \'\'\' (?: [^'] | '(?!\'\') )*+ (?: \'\'\''{0,2} )?
      | " (?: \\[^\n] | [^"\\\n] )*+ "?
      | ' [^'\n]*+ '?
    )
  | (?P<mark> [\[\]{}=,.] )
  | (?P<bare> [^\s\#"'\[\]{}=,.]+ )
    ''',
    re.VERBOSE | re.DOTALL,
)


class TooComplex(Exception):  # noqa: N818 - a verdict on a text; nothing failed
    """Say that a text goes beyond what a configuration needs.

    Attributes:
        line: Where, counted from 1.
    """

    def __init__(self, line: int, message: str) -> None:
        self.line = line
        super().__init__(message)


def key_lines(text: str) -> Mapping[KeyPath, int]:
    """Map the path of every table, key and array element in *text* to its line.

    Lines end in a line feed and are counted from 1. Where *text* is no TOML, what stands
    behind the first mistake may be missing or wrong.

    Raises:
        TooComplex: There are more keys, tables, dots, brackets or words than the limits above.
    """
    scanner = _Scanner()
    for count, (kind, lexeme) in enumerate(_lexemes(text)):
        if count >= MAX_LEXEMES:
            raise TooComplex(scanner.line, f"more than {MAX_LEXEMES} words and marks")
        scanner.take(kind, lexeme)
    return scanner.lines


def _lexemes(text: str) -> Iterator[tuple[str, str]]:
    for match in _LEXEMES.finditer(text):
        kind = match.lastgroup
        if kind is not None and kind != "comment":
            yield kind, match.group()


@define(eq=False)
class _Container:
    """An open array, with the index of the element being read, or inline table, without."""

    path: KeyPath
    index: int | None


@define(eq=False)
class _Scanner:
    """Where in the document the text has come to.

    Attributes:
        lines: The result.
        line: The current line.
        expected: What comes next: ``key``, ``header``, ``value``, or ``end`` of a value.
        table: The table whose header came last.
        sizes: How many elements each array of tables has so far.
        open: Arrays and inline tables around the current place, outermost first.
        key: Parts of the key or header that is being read; it began on ``key_line``.
        value: Path of the value that is being read.
    """

    lines: dict[KeyPath, int] = field(factory=dict)
    line: int = 1
    expected: str = "key"
    table: KeyPath = ()
    sizes: dict[KeyPath, int] = field(factory=dict)
    open: list[_Container] = field(factory=list)
    key: list[str] = field(factory=list)
    key_line: int = 1
    value: KeyPath = ()
    is_array_header: bool = False
    dots: int = 0
    table_count: int = 0
    key_count: int = 0

    def take(self, kind: str, lexeme: str) -> None:
        if kind == "newline":
            self.line += 1
            if not self.open:
                self._expect_key()
            return
        if self.expected == "key":
            self._take_key(kind, lexeme)
        elif self.expected == "header":
            self._take_header(kind, lexeme)
        elif self.expected == "value":
            self._take_value(lexeme)
        elif lexeme == ",":
            self._next_in_container()
        elif lexeme in {"]", "}"}:
            self._close()
        self.line += lexeme.count("\n")

    def _expect_key(self) -> None:
        self.expected = "key"
        self.key.clear()
        self.dots = 0

    def _take_key(self, kind: str, lexeme: str) -> None:
        if lexeme == "=":
            self.key_count += 1
            if self.key_count > MAX_KEYS:
                raise TooComplex(self.line, f"more than {MAX_KEYS} keys")
            base = self.open[-1].path if self.open else self.table
            self.value = (*base, *self.key)
            self._record(self.value, self.key_line)
            self.expected = "value"
        elif lexeme == "[" and not self.open and not self.key:
            self.expected = "header"
            self.is_array_header = False
        elif lexeme == "}":
            self._close()
        elif lexeme == ",":
            self._expect_key()
        else:
            self._take_part(kind, lexeme)

    def _take_header(self, kind: str, lexeme: str) -> None:
        if lexeme == "[":
            self.is_array_header = True
        elif lexeme == "]":
            self._enter_table()
            self.expected = "end"
        else:
            self._take_part(kind, lexeme)

    def _take_part(self, kind: str, lexeme: str) -> None:
        if lexeme == ".":
            self.dots += 1
            if self.dots > MAX_DOTS:
                raise TooComplex(self.line, f"a key has more than {MAX_DOTS} dots")
        elif kind != "mark":
            if not self.key:
                self.key_line = self.line
            self.key.append(_key_part(lexeme) if kind == "string" else lexeme)

    def _take_value(self, lexeme: str) -> None:
        if lexeme == "]":
            # The end of an array, after a comma or at once.
            self._close()
            return
        self._record(self.value, self.line)
        if lexeme not in {"[", "{"}:
            self.expected = "end"
            return
        if len(self.open) >= MAX_NESTING:
            raise TooComplex(self.line, f"a value is nested deeper than {MAX_NESTING} brackets")
        if lexeme == "{":
            self.open.append(_Container(self.value, None))
            self._expect_key()
        else:
            self.open.append(_Container(self.value, 0))
            self.value = (*self.value, 0)

    def _next_in_container(self) -> None:
        if not self.open:
            return
        container = self.open[-1]
        if container.index is None:
            self._expect_key()
            return
        container.index += 1
        self.value = (*container.path, container.index)
        self.expected = "value"

    def _close(self) -> None:
        if self.open:
            self.open.pop()
        self.expected = "end"

    def _enter_table(self) -> None:
        self.table_count += 1
        if self.table_count > MAX_TABLES:
            raise TooComplex(self.line, f"more than {MAX_TABLES} tables")
        path: KeyPath = ()
        for part in self.key:
            # A name that stands for an array of tables means the newest of them.
            path = (*path, self.sizes[path] - 1, part) if path in self.sizes else (*path, part)
        self._record(path, self.line)
        if self.is_array_header:
            index = self.sizes.get(path, 0)
            self.sizes[path] = index + 1
            path = (*path, index)
        # The header says more than an earlier key that only passed through the table.
        self.lines[path] = self.line
        self.table = path

    def _record(self, path: KeyPath, line: int) -> None:
        while path and path not in self.lines:
            self.lines[path] = line
            path = path[:-1]


def _key_part(lexeme: str) -> str:
    """Give the text of a quoted key."""
    if lexeme.startswith("'") or "\\" not in lexeme:
        return lexeme[1:-1]
    try:
        return next(iter(tomllib.loads(f"{lexeme} = 0")))
    except tomllib.TOMLDecodeError:
        return lexeme
