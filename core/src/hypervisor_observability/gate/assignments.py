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
    (?P<pair> \( [bBuU]? \\{0,8} ["'] )?+ (?<![\w.-]) (?P<option> -- )?+
    (?P<tag> (?<=<) )?+ (?P<name> [\w.-]++ (?: [ ] [kK][eE][yY] \b )? )
    (?: (?(tag) > | (?!) )
      | (?P<named> \\{0,8} ["'`] )? \]? \*{0,2} [ \t]{0,8}
        (?P<sign> => | [:=]=? | [+?]= | (?(pair) , | (?!) ) ) \*{0,2} \s{0,32}
      | (?(option) [ \t]{1,8} (?= [^\s-] ) | (?!) ) )
    (?: [bBrRuUfF]{0,2} (?P<quote> \\{0,8} (?: ["]{3} | [']{3} | ["'`] ) ) )?
    """,
    re.VERBOSE,
)
_TO_SPACE = re.compile(r"""[^\s,;&"'<>()\[\]{}\\]+""")
_TO_TAG = re.compile(r"[^<]+")
_HEADER = re.compile(r"""(?:[^\r\n"'=]|=(?:"[^\r\n"]*")?)+""")  # with what Digest says in quotes
_QUOTED_HEADER = re.compile(r"""[^\r\n"']+""")
_BLOCK = re.compile(  # of YAML: each line has the first one's indentation at least
    r"[|>][+-]?\d?[ \t]*\r?\n([ \t]+)[^\n]*(?:\n(?:\1[^\n]*|[ \t\r]*(?=\n)))*"
)
_NUMBER = re.compile(r"[+-]?\d[\d._]*(?:[eE][+-]?\d+)?")
_WORD_OF_JSON = re.compile(r"true|false|null|none|nan", re.IGNORECASE)
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
_BEFORE_QUOTE = 256  # characters, so that the search stays linear


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
            # A quote that was never closed, or a header, may end where another value's begins.
            position = max(position, end - _BEFORE_QUOTE)


def _value(text: str, found: re.Match[str]) -> tuple[int, bool]:
    """Find the end of the value of a secret's name; tell whether it is a secret."""
    start = found.end()
    if found["quote"]:
        end = _end_of_quoted(text, start, found["quote"])
        after = end + len(found["quote"])
        # A pair is a name and its value; among more words, the next one is none.
        alone = found["sign"] != "," or text[after : after + 1] == ")"
        return end, end > start and alone
    if text[start : start + 1] in _CLOSING:
        end = _end_of_container(text, start)
        return end, _NUMBERS.fullmatch(text, start, end) is None
    if (block := _BLOCK.match(text, start)) is not None:
        return block.end(), True
    name = found["name"].lower()
    value = _form(text, found, name).match(text, start)
    if value is None or _is_plain(value[0], found, name):
        return start, False
    if found["tag"] is not None:  # "<token>" alone stands where a value is asked for
        return value.end(), text.startswith(f"</{found['name']}>", value.end())
    if text[value.end() : value.end() + 1] == "(":  # SecretStr('...')
        return _end_of_container(text, value.end()), True
    return value.end(), len(value[0]) >= _SHORTEST


def _is_plain(value: str, found: re.Match[str], name: str) -> bool:
    """Tell whether a value without quotes is a measurement, or goes on with a sentence."""
    if _WORD_OF_JSON.fullmatch(value):
        return True
    if found["named"] or found["tag"] is not None:
        return _NUMBER.fullmatch(value) is not None  # as under the key of a payload
    prose = found["sign"] == ":" and (name in _ALSO_PROSE or " " in name)
    return prose and len(value) < _LONG and value.isalpha()


def _form(text: str, found: re.Match[str], name: str) -> re.Pattern[str]:
    """Give what a value without quotes looks like."""
    if found["tag"] is not None:
        return _TO_TAG
    if name not in _HEADERS:
        return _TO_SPACE
    before = text[max(0, found.start() - 1) : found.start()]
    return _QUOTED_HEADER if before in ("'", '"') else _HEADER


def _end_of_quoted(text: str, start: int, quote: str) -> int:
    """Find the end of a quoted value; without a closing quote it is the end of *text*."""
    if quote[-2:] in ('""', "''"):
        end = text.find(quote, start)
        return end if end >= 0 else len(text)
    escapes = len(quote) - 1
    position = start
    while (found := text.find(quote[-1], position)) >= 0:
        before = found
        while before > start and text[before - 1] == "\\":
            before -= 1
        backslashes = found - before
        if not backslashes and found > start and text[found + 1 : found + 2] == quote:
            position = found + 2  # YAML and SQL say a quote so
            continue
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
