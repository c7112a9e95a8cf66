"""The checks of an author's object, all before any of its hooks is called."""

import difflib
import inspect
from collections.abc import Callable, Iterable, Sequence
from collections.abc import Set as AbstractSet
from functools import cached_property

import pluggy

from .. import hookspecs
from ..config import DeliveryConfig
from ..config.plugin_tables import SourceConfig
from ..hookspecs import PROJECT_NAME
from .hook_loop import HookLoop
from .hook_results import refuse_odd_hook
from .plugin import Plugin
from .plugin_api import refuse_other_api
from .sources.framework import SOURCE_HOOKS
from .store_parts import STORE_HOOKS
from .undeclared import refuse_undeclared

HOOKS = frozenset(
    name
    for name, function in vars(hookspecs).items()
    if getattr(function, f"{PROJECT_NAME}_spec", None) is not None
)
"""Names of all hooks."""

EXPORT_HOOKS = frozenset(name for name in HOOKS if name.startswith("export_"))
"""Names of those that something is handed to."""


def checked(
    name: str,
    instance: object,
    delivery: DeliveryConfig,
    *,
    make: Callable[[], object] | None = None,
    common: SourceConfig | None = None,
) -> Plugin:
    """Register *instance* with a manager of its own.

    Args:
        name: Of the plugin.
        instance: What its author wrote.
        delivery: How events come to it.
        make: Makes another instance; None if that cannot be done.
        common: What its table says beside its own keys, if it is a source.

    Raises:
        ValueError: It implements no hook, one that does not exist, or one with an argument
            that the hook does not have; what its attributes say of itself cannot be; it was
            written for other hooks; or it sets an attribute that it cannot have.
        HookShapeError: A hook is a generator.
    """
    if isinstance(instance, type):
        raise ValueError(f"expected an instance, got the class {instance.__name__}")
    refuse_other_api(instance)
    refuse_undeclared(instance)
    _refuse_odd_arguments(instance)
    manager = pluggy.PluginManager(PROJECT_NAME)
    manager.add_hookspecs(hookspecs)
    try:
        manager.register(instance, name)
        # register() lets a misspelt hook pass.
        unknown = [called.name for called in vars(manager.hook).values() if not called.has_spec()]
    except pluggy.PluginValidationError as error:
        raise ValueError(" ".join(str(error).split())) from error
    if unknown:
        raise ValueError(_unknown_hooks(unknown))
    _refuse_unseen(instance)
    functions = {
        called.name: implementation.function
        for called in manager.get_hookcallers(instance) or ()
        for implementation in called.get_hookimpls()
    }
    if not functions:
        raise ValueError("implements no hook: mark its methods with @hookimpl")
    for hook, function in functions.items():
        refuse_odd_hook(hook, function)
    _refuse_unmarked(instance, HOOKS - functions.keys())
    coroutines = {hook for hook, one in functions.items() if inspect.iscoroutinefunction(one)}
    plugin = Plugin(
        name,
        instance,
        delivery,
        hooks=frozenset(functions) - _idle_hooks(instance),
        coroutines=frozenset(coroutines),
        manager=manager,
        renewed=None if make is None else lambda: checked(name, make(), delivery, make=make),
        loop=HookLoop(name),
        common=common or SourceConfig(),
    )
    # Raises now rather than later.
    _ = plugin.sampling, plugin.hook_timeout_seconds, plugin.interval_seconds
    return plugin


def _idle_hooks(instance: object) -> frozenset[str]:
    """Give the hooks that the plugin's configuration has no use for.

    Raises:
        ValueError: It names what is no export hook.
    """
    idle: object = getattr(instance, "idle_hooks", frozenset())
    if not isinstance(idle, AbstractSet) or not EXPORT_HOOKS.issuperset(idle):
        known = ", ".join(sorted(EXPORT_HOOKS))
        raise ValueError(f"idle_hooks: expected a set of {known}, got {idle!r:.80}")
    return frozenset(idle)


def has_hook(plugin_class: type, hook: str) -> bool:
    """Whether the class of a plugin marks a method as *hook*, be it one of the class itself."""
    method = inspect.getattr_static(plugin_class, hook, None)
    return _is_marked(getattr(method, "__func__", method))


def _is_marked(attribute: object) -> bool:
    return inspect.getattr_static(attribute, f"{PROJECT_NAME}_impl", None) is not None


def _refuse_odd_arguments(instance: object) -> None:
    """Refuse a hook that is a function of the class and cannot take what it is called with.

    Raises:
        ValueError: It lacks ``self``, or has an argument that the hook is never given.
    """
    for name in sorted(HOOKS):
        function = inspect.getattr_static(instance, name, None)
        if not inspect.isfunction(function) or not _is_marked(function):
            continue
        given = list(inspect.signature(getattr(hookspecs, name)).parameters)
        wanted = [
            one.name
            for one in inspect.signature(function).parameters.values()
            if one.kind is not one.VAR_KEYWORD and one.default is one.empty
        ]
        if (not wanted or wanted[0] in given) and name in vars(type(instance)):
            written = ", ".join(("self", *wanted))
            raise ValueError(f"{name} lacks 'self': write 'def {name}({written})'")
        odd = [one for one in wanted[1:] if one not in given]
        if odd:
            takes = f"it may take {' and '.join(map(repr, given))}" if given else "it takes none"
            raise ValueError(f"{name}: no such hook is given {', '.join(map(repr, odd))}: {takes}")


def _refuse_unseen(instance: object) -> None:
    """Refuse what is marked as a hook and would be passed over, since it is no method.

    Raises:
        ValueError: Something is.
    """
    for name in dir(instance):
        attribute = inspect.getattr_static(instance, name, None)
        hidden = name in HOOKS and isinstance(attribute, property | cached_property)
        if hidden or (_is_marked(attribute) and not inspect.isroutine(getattr(instance, name))):
            kind = type(attribute).__name__
            raise ValueError(f"{name} is a {kind}, which is never called: write a method")


def _refuse_unmarked(instance: object, names: Iterable[str]) -> None:
    """Refuse a method that is called as a hook, and is none for want of a mark.

    Raises:
        ValueError: It exports, is of a store, or takes the place of one with a mark in a base
            class.
    """
    for name in sorted(names):
        if callable(inspect.getattr_static(instance, name, None)) and (
            name.startswith("export_")
            or name in STORE_HOOKS
            or (name in SOURCE_HOOKS and hasattr(instance, "targets"))
            or any(_is_marked(vars(base).get(name)) for base in type(instance).__mro__)
        ):
            raise ValueError(f"{name} is not marked, so it is never called: put @hookimpl above it")


def _unknown_hooks(names: Sequence[str]) -> str:
    parts = []
    for name in sorted(names):
        close = difflib.get_close_matches(name, HOOKS, 1)
        hint = f" (did you mean '{close[0]}'?)" if close else ""
        parts.append(f"unknown hook '{name}'{hint}")
    return ", ".join(parts)
