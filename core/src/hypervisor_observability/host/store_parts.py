"""What a store's hooks give, checked when it is given: a mistake of its author is told at once."""

import inspect
from collections.abc import Iterator
from typing import Any, get_origin

from ..stores import FollowedStore, History, Store
from .plugin import Plugin

_GIVEN_BY: dict[str, type] = {
    "open_store": Store,
    "open_history": History,
    "follow_store": FollowedStore,
}

STORE_HOOKS = frozenset(_GIVEN_BY)
"""Who has one of these is a store."""


class StorePartError(TypeError):
    """What a store gave is no part of one: a method is missing, or nobody would await it."""


def ask_store(plugin: Plugin, hook: str, context: object) -> Any:
    """Have a store give what its *hook* is for.

    Returns:
        That; None where the plugin has no such hook.

    Raises:
        StorePartError: It gave something else.
        Exception: Whatever else the hook raises, such as ``SettingError``.
    """
    if hook not in plugin.hooks:
        return None
    return whole(plugin.ask(hook, context=context), _GIVEN_BY[hook], hook)


def whole(given: Any, protocol: type, giver: str) -> Any:
    """Give *given* back, if it has all that *protocol* asks for.

    Args:
        given: What a store gave.
        protocol: Of ``hypervisor_observability.stores``.
        giver: What gave it.

    Raises:
        StorePartError: Something is missing, or of a kind that cannot be called.
    """
    kind = f"{giver} gave {_described(given)}"
    if given is None or inspect.isclass(given):
        raise StorePartError(f"{kind}: expected an object with the methods of {protocol.__name__}")
    for name, member in _members(protocol).items():
        if not inspect.isfunction(member):
            if not _has(given, name):
                raise StorePartError(f"{kind}, which lacks '{name}'")
            continue
        method = getattr(given, name, None)
        if not callable(method):
            raise StorePartError(f"{kind}, which lacks the method '{name}'")
        if inspect.iscoroutinefunction(method) or inspect.isasyncgenfunction(method):
            raise StorePartError(f"{kind}, whose '{name}' nobody awaits: write 'def {name}'")
        if inspect.isgeneratorfunction(method) and not _iterates(member):
            raise StorePartError(f"{kind}, whose '{name}' is a generator: its body would never run")
    return given


def is_shared(stream: object) -> bool:
    """Tell whether a store's stream is a ``SharedStream``, whole or not."""
    return _has(stream, "state_of")


def _members(protocol: type) -> dict[str, Any]:
    return {
        name: member
        for base in protocol.__mro__
        if getattr(base, "_is_protocol", False)
        for name, member in vars(base).items()
        if not name.startswith("_")
    }


def _has(given: object, name: str) -> bool:
    # A property is not read: what it says now may be of no use yet.
    missing = object()
    found = inspect.getattr_static(given, name, missing) is not missing
    return found or hasattr(type(given), "__getattr__")


def _iterates(member: Any) -> bool:
    return get_origin(member.__annotations__.get("return")) is Iterator


def _described(given: object) -> str:
    if given is None:
        return "nothing"
    kind = type(given).__name__
    return f"the class {given.__name__}" if inspect.isclass(given) else f"an object of type {kind}"
