"""A choice of events as one text: the options of ``hvobs query``, and words.

Such as ``--type 'ring.*' --since 5m --wrong "card declined"``. Words and quotes are those of a
POSIX shell (IEEE Std 1003.1, Shell Command Language, section 2.2), without expansions. A word that
is no option is searched for in the events; what follows ``--`` is no option.
"""

import difflib
import shlex
from collections.abc import Iterator
from typing import Any

from ..errors import FilterError
from .agent_names import AgentNames
from .choice import Choice
from .filter_options import OPTIONS, FilterOption, choice_of, values_of

MAX_CHARACTERS = 4_096
"""Longest text of a filter."""
MAX_WORDS = 32
"""Most words that are searched for: each is searched for in every event."""

_BY_NAME = {one.name: one for one in OPTIONS}


def parse(text: str, names: AgentNames | None = None) -> Choice:
    """Read a filter.

    Args:
        text: Options and words; empty: every event is chosen. Times such as ``5m`` count from now.
        names: The agents' names, where they are known.

    Raises:
        FilterError: It cannot be read; the error says what is wrong and what would be right.
    """
    if len(text) > MAX_CHARACTERS:
        raise FilterError(f"the filter is longer than {MAX_CHARACTERS:,} characters")
    words = _words_of(text)
    given: dict[FilterOption, list[str]] = {}
    searched: list[str] = []
    while words:
        word = words.pop(0)
        if word == "--":
            searched += words
            break
        if word == "-" or not word.startswith("-"):
            searched.append(word)
            continue
        name, sign, value = word.partition("=")
        option = _option(name)
        if option.metavar is None:
            if sign:
                raise FilterError(f"{name} takes no value")
            given[option] = []
            continue
        if not sign:
            if not words:
                raise FilterError(f"{name} needs a value: {name} {option.metavar}")
            value = words.pop(0)
        given.setdefault(option, []).append(value)
    values = {option.key: _read(option, texts) for option, texts in given.items()}
    words = [*values.get("text", ()), *searched]
    if len(words) > MAX_WORDS:
        raise FilterError(
            f"the filter has {len(words):,} words to search for, which may be {MAX_WORDS}: put"
            " words that follow each other into quotes"
        )
    values["text"] = words
    return choice_of(values, names)


def format_choice(choice: Choice) -> str:
    """Write *choice* as a text that ``parse`` reads as the same; times are absolute."""
    return shlex.join(_written(choice))


def _written(choice: Choice) -> Iterator[str]:
    values = values_of(choice)
    for option in OPTIONS:
        value = values[option.key]
        if option.metavar is None:
            yield from [option.name] * bool(value)
        elif option.repeats:
            yield from (f"{option.name}={option.write(one)}" for one in value)
        elif value is not None:
            yield f"{option.name}={option.write(value)}"


def _words_of(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError:  # of a quote, or of a backslash at the end
        if text.endswith("\\"):
            raise FilterError(r"nothing follows the last \: write \\ for one") from None
        message = 'a quote is not closed: write "don\'t" for a word that has one'
        raise FilterError(message) from None


def _option(name: str) -> FilterOption:
    if option := _BY_NAME.get(name):
        return option
    close = difflib.get_close_matches(name, _BY_NAME, 1)
    if close:
        hint = f"did you mean {close[0]}?"
    else:
        hint = f"there are: {', '.join(_BY_NAME)}; put -- before words that begin with a dash"
    raise FilterError(f"no such option: {name} ({hint})")


def _read(option: FilterOption, texts: list[str]) -> Any:
    """Give the value of an option; of one that was given several times the last counts."""
    if option.metavar is None:
        return True
    try:
        return [*map(option.read, texts)] if option.repeats else option.read(texts[-1])
    except ValueError as error:
        raise FilterError(f"{option.name}: {error}") from error
