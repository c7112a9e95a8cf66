"""Secrets that a text assigns to a name: ``DB_PASSWORD=...``, JSON, the ``repr`` of a dict.

Arguments of tools, environment files, headers and command lines come as text. What stands
there under the name of a secret is found as under the key of a payload, by the same names.
"""

import re
from collections.abc import Iterator

from .secret_names import SecretNames

Span = tuple[int, int]

# A run of letters is looked at once, from where it begins: a search stays linear.
_ASSIGNMENT = re.compile(
    r"""
    (?<![\w.-]) (?P<option> -- )?+ (?P<name> [\w.-]++ )
    (?: (?P<named> \\{0,8} ["'] )? [ \t]{0,8} (?P<sign> [:=]=? | => ) \s{0,32}
      | (?(option) [ \t]{1,8} (?= [^\s-] ) | (?!) ) )
    (?: [bBrRuUfF]{0,2} (?P<quote> \\{0,8} ["'] ) )?
    """,
    re.VERBOSE,
)
_TO_SPACE = re.compile(r"""[^\s,;&"'<>()\[\]{}\\]+""")
_TO_LINE_END = re.compile(r"""[^\r\n"']+""")
_NUMBER = re.compile(r"[+-]?\d[\d._]*(?:[eE][+-]?\d+)?|true|false|null|none|nan", re.IGNORECASE)
_NUMBERS = re.compile(r"(?:[\s\d.,:+\[\](){}eE-]|true|false|null|none|nan)*+", re.IGNORECASE)
_BRACKET_OR_QUOTE = re.compile(r"""\\{0,8}["']|[\[\](){}]""")
_CLOSING = {"[": "]", "(": ")", "{": "}"}
# In prose a colon follows these too: "token: expected". A secret has digits, or is long.
_ALSO_PROSE = frozenset(
    {"auth", "bearer", "cookies", "credential", "credentials", "csrf", "jwt", "secret", "secrets",
     "token", "xsrf"}
)  # fmt: skip
_HEADERS = frozenset({"authorization", "cookie", "proxy-authorization", "set-cookie"})
_SHORTEST = 4  # characters of a value without quotes
_LONG = 16


def assigned_secrets(text: str, names: SecretNames) -> Iterator[Span]:
    """Give where in *text* values stand whose names are in *names*, from first to last."""
    position = 0
    while (found := _ASSIGNMENT.search(text, position)) is not None:
        name = found["name"]
        position = found.end()
        if name not in names:
            position = found.end("name")  # the value may be an assignment itself
            continue
        end, is_secret = _value(text, found)
        if is_secret:
            yield position, end
        position = end


def _value(text: str, found: re.Match[str]) -> tuple[int, bool]:
    """Find the end of the value of a secret's name; tell whether it is a secret."""
    start = found.end()
    if found["quote"]:
        end = _end_of_quoted(text, start, found["quote"])
        return end, end > start
    if text[start : start + 1] in _CLOSING:
        end = _end_of_container(text, start)
        return end, _NUMBERS.fullmatch(text, start, end) is None
    name = found["name"].lower()
    value = (_TO_LINE_END if name in _HEADERS else _TO_SPACE).match(text, start)
    if value is None:
        return start, False
    if found["named"] and _NUMBER.fullmatch(value[0]):
        return start, False  # a measurement, as under the key of a payload
    prose = found["sign"] == ":" and not found["named"] and name in _ALSO_PROSE
    if len(value[0]) < _SHORTEST or (prose and len(value[0]) < _LONG and value[0].isalpha()):
        return start, False
    return value.end(), True


def _end_of_quoted(text: str, start: int, quote: str) -> int:
    """Find the end of a quoted value; without a closing quote it is the end of *text*."""
    escapes = len(quote) - 1
    position = start
    while (found := text.find(quote[-1], position)) >= 0:
        before = found
        while before > start and text[before - 1] == "\\":
            before -= 1
        backslashes = found - before
        if backslashes <= escapes:
            return before
        if not escapes and backslashes % 2 == 0:
            return found  # what is escaped is the backslash before it
        position = found + 1
    return len(text)


def _end_of_container(text: str, start: int) -> int:
    """Find the end of a list or an object; one that is not closed ends with *text*."""
    expected: list[str] = []
    position = start
    while (found := _BRACKET_OR_QUOTE.search(text, position)) is not None:
        mark, position = found[0], found.end()
        if mark in _CLOSING:
            expected.append(_CLOSING[mark])
        elif mark[-1] in "\"'":
            position = _end_of_quoted(text, position, mark) + len(mark)
        else:
            expected.pop()
            if not expected:
                return position
    return len(text)
