"""The text of an exception for people: never raises, says what is in a group, and is bounded."""

from collections.abc import Iterator
from itertools import islice

from ..threads.interruptions import is_from_handler

_MAX_INSIDE = 32
"""So many exceptions of a group are told."""

_MAX_SEARCHED = 1_000
"""So many groups and exceptions are looked through for them."""

_MAX_GROUP_LINE = 2_000
"""Characters of a group's line."""

_MAX_MESSAGE = 400
"""Characters of each message in a group, and twice that of the group's own."""


_MISTAKES = ArithmeticError, AssertionError, AttributeError, LookupError, NameError, TypeError
"""Nobody raises these to tell a user something."""

# By type's own descriptors, which no metaclass hides.
_name_of = type.__dict__["__name__"].__get__
_full_name_of = type.__dict__["__qualname__"].__get__
_module_of = type.__dict__["__module__"].__get__


def message_of(error: BaseException) -> str:
    """Give the message of *error*, with those of the exceptions inside if it is a group.

    Returns:
        Of a group at most some 14,000 characters; empty where there is no message, or where
        asking for it raises.
    """
    own = _message(error)
    return _group_message(error, own) if isinstance(error, BaseExceptionGroup) else own


def line_of(error: BaseException) -> str:
    """Give the type of *error*, and its message where there is one; of a group cut."""
    line = _line(error, message_of(error))
    return _cut(line, _MAX_GROUP_LINE) if isinstance(error, BaseExceptionGroup) else line


def mistake_in(error: BaseException | None) -> BaseException | None:
    """Give *error* if it is a mistake in somebody's code, which only its traceback explains."""
    plain = isinstance(error, Exception) and not isinstance(error, _MISTAKES)
    return None if plain else error


def reason_of(error: BaseException) -> str:
    """Give the message of *error*, of an ``OSError`` without the name that it was told; the name of
    its type where there is none.
    """
    told = isinstance(error, OSError) and error.strerror
    return str(told or message_of(error) or name_of(error))


def type_of(error: BaseException) -> str:
    """Give the name of the type of *error*, with its module unless that is ``builtins``."""
    kind = type(error)
    module = _module_of(kind)
    own = isinstance(module, str) and module != "builtins"
    return f"{module}.{_full_name_of(kind)}" if own else name_of(error)


def name_of(error: BaseException) -> str:
    """Give the name of the type of *error*."""
    return str(_name_of(type(error)))


def _line(error: BaseException, message: str) -> str:
    name = name_of(error)
    return name if message in ("", name) else f"{name}: {message}"


def _message(error: BaseException) -> str:
    try:
        return str.__str__(str(error))  # a plain string, whatever subclass of it was given
    except BaseException as fault:  # a hostile __str__ has no message
        if is_from_handler(fault):
            raise
        return ""


def _group_message(group: BaseExceptionGroup[BaseException], own: str) -> str:
    """Give the message of a group with those of the exceptions inside."""
    lines: dict[str, int] = {}
    found = list(islice(leaves_of(group), _MAX_INSIDE + 1))
    for error in found[:_MAX_INSIDE]:
        line = _line(error, _cut(_message(error), _MAX_MESSAGE))
        lines[line] = lines.get(line, 0) + 1
    told = [line if times == 1 else f"{line} ({times} times)" for line, times in lines.items()]
    if len(found) > _MAX_INSIDE:
        told.append("and more")
    own = _cut(own, 2 * _MAX_MESSAGE)
    return f"{own}: {'; '.join(told)}" if told else own


def leaves_of(group: BaseExceptionGroup[BaseException]) -> Iterator[BaseException]:
    """Give the exceptions inside a group, and inside the groups in it, up to a bound."""
    # Not by recursion: groups can be nested deeper than that.
    members = BaseExceptionGroup.exceptions.__get__  # a slot, which no subclass hides
    waiting: list[BaseException] = [group]
    for _ in range(_MAX_SEARCHED):
        if not waiting:
            return
        error = waiting.pop()
        if isinstance(error, BaseExceptionGroup):
            waiting.extend(reversed(members(error)))
        else:
            yield error


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"
