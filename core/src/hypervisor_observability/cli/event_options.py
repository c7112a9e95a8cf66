"""The options by which commands choose events, as ``search.filter_options`` has them."""

from collections.abc import Callable
from functools import wraps
from typing import Any

import click

from ..search.filter_options import OPTIONS, FilterOption, choice_of

_WORDS = "words"


class _Read(click.ParamType):  # type: ignore[type-arg]  # generic for type checkers alone
    """The value of an option, as the option itself reads it."""

    def __init__(self, option: FilterOption) -> None:
        self.name = option.metavar or ""
        self._option = option

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Read text; say what is wrong with it."""
        try:
            return self._option.read(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


def wanted_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give *function* all options that choose events: the argument ``choice``."""
    return choosing(*OPTIONS)(function)


def choosing(*chosen: FilterOption) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Make a decorator that gives a function these options: the argument ``choice``."""

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def command(**options: Any) -> Any:
            values = {one.key: options.pop(one.key) for one in chosen}
            values["text"] = (*values.get("text", ()), *options.pop(_WORDS, ()))
            return function(choice=choice_of(values), **options)

        for one in reversed(chosen):
            _option(one)(command)
        return command

    return decorate


words_argument = click.argument(_WORDS, nargs=-1, metavar="[WORDS]...")
"""Words that are searched for, each as ``--text`` does; for a function that has that option."""


def _option(one: FilterOption) -> Callable[[Any], Any]:
    if one.metavar is None:
        return click.option(one.name, one.key, is_flag=True, help=one.help)
    return click.option(
        one.name,
        one.key,
        type=_Read(one),
        metavar=one.metavar,
        multiple=one.repeats,
        help=one.help,
    )
