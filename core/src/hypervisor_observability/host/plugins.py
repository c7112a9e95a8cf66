"""From a table in the configuration to a checked plugin in a manager of its own."""

import difflib
import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property, partial
from math import inf
from typing import Any

import pluggy
from attrs import field, frozen

from .. import hookspecs
from ..config import Config, DeliveryConfig, PluginTable, structure_plugin_table
from ..delivery.hook_loop import HookLoop
from ..delivery.hook_results import refuse_odd_hook, refuse_odd_result
from ..errors import ConfigProblem
from ..events.event import HypervisorEvent
from ..hookspecs import PROJECT_NAME, PluginContext
from ..metrics.families import MetricFamily
from ..spans.record import FinishedSpan
from ..spans.sampling import Sampling
from ..text.error_text import line_of, message_of
from ..threads.interruptions import is_from_handler
from .discovery import InstalledPlugin, installed_plugins

SHIPPED = {
    "prometheus": "hypervisor-prometheus",
    "otel": "hypervisor-otel",
    "statsd": "hypervisor-statsd",
    "jaeger": "hypervisor-jaeger",
}
"""Our own plugins: name to distribution."""

_HANG_MARGIN = 1.5
"""A call that takes longer than its plugin says by more than this factor hangs."""

HOOKS = frozenset(
    name
    for name, function in vars(hookspecs).items()
    if getattr(function, f"{PROJECT_NAME}_spec", None) is not None
)


@frozen(eq=False)
class Plugin:
    """A plugin that was made and checked, not yet started.

    Attributes:
        name: Of its table.
        instance: The object that its author wrote.
        delivery: How events wait for it.
        hooks: The hooks that it implements.
        coroutines: Those of them that are coroutine functions.
        manager: Calls these hooks. Each plugin has its own: pluggy ends a call at the
            first exception, and the plugins behind it would not be called.
        make: Makes another instance with the same configuration; None where a caller made
            the one that there is.
        loop: Runs those hooks that are coroutine functions.
    """

    name: str
    instance: object
    delivery: DeliveryConfig
    hooks: frozenset[str]
    coroutines: frozenset[str]
    manager: pluggy.PluginManager
    make: Callable[[], object] | None = None
    loop: HookLoop = field(factory=HookLoop)

    @property
    def payload(self) -> str | tuple[str, ...]:
        """What of payloads it sees: ``"all"``, ``"none"`` or keys."""
        if self.delivery.payload is not None:
            return self.delivery.payload
        return getattr(self.instance, "default_payload", "all")

    @property
    def replays(self) -> bool:
        """Whether it wants what an earlier process has left in the journal.

        Not where the backend takes no times: it would see old events as new ones.
        """
        return bool(getattr(self.instance, "replays", True))

    @property
    def pending_sessions(self) -> bool:
        """Whether it wants the spans of sessions when they begin, and again when they end."""
        return bool(getattr(self.instance, "pending_sessions", False))

    @property
    def sampling(self) -> Sampling | None:
        """Which traces it is handed; None: all.

        Raises:
            ValueError: The share of them that its author has chosen is none.
        """
        ratio = getattr(self.instance, "sample_ratio", 1.0)
        sampling = Sampling(
            ratio=ratio,
            keep_incidents=self.delivery.keep_incidents,
            wait_seconds=self.delivery.sampling_wait_seconds,
            max_held_spans=self.delivery.max_held_spans,
        )
        return None if ratio == 1.0 else sampling

    @property
    def hook_timeout_seconds(self) -> float:
        """After how long a call counts as hung: above what the plugin says that one may take.

        Raises:
            ValueError: What it says is no number of seconds.
        """
        says = getattr(self.instance, "longest_call_seconds", 0.0)
        if isinstance(says, bool) or not isinstance(says, int | float) or not 0 <= says < inf:
            msg = f"longest_call_seconds: expected a number of seconds, 0 or above, got {says!r}"
            raise ValueError(msg)
        return max(self.delivery.hook_timeout_seconds, _HANG_MARGIN * says)

    def renewed(self) -> "Plugin":
        """Make another instance, not started.

        Raises:
            ValueError: A caller made the one that there is.
            Exception: What its ``__init__`` raises.
        """
        if self.make is None:
            raise ValueError("only a plugin that the configuration names can be made again")
        return checked(self.name, self.make(), self.delivery, make=self.make)

    @property
    def takes_events(self) -> bool:
        """Whether it has the hook ``export_events``."""
        return "export_events" in self.hooks

    @property
    def takes_spans(self) -> bool:
        """Whether it has the hook ``export_spans``."""
        return "export_spans" in self.hooks

    @property
    def takes_metrics(self) -> bool:
        """Whether it has the hook ``export_metrics``."""
        return "export_metrics" in self.hooks

    @property
    def only_exposes(self) -> bool:
        """Whether nothing is handed to it: it is asked for metrics, or does nothing."""
        return not (self.takes_events or self.takes_spans or self.takes_metrics)

    def start(self, context: PluginContext) -> None:
        """Call the hook. One that is a coroutine function is cancelled at its deadline.

        Raises:
            TimeoutError: It was.
        """
        self._call("start", context=context)

    def export_events(self, events: Sequence[HypervisorEvent]) -> None:
        """Call the hook."""
        self._call("export_events", events=events)

    def export_spans(self, spans: Sequence[FinishedSpan]) -> None:
        """Call the hook."""
        self._call("export_spans", spans=spans)

    def export_metrics(self, metrics: Sequence[MetricFamily]) -> None:
        """Call the hook."""
        self._call("export_metrics", metrics=metrics)

    def flush(self) -> None:
        """Call the hook."""
        self._call("flush")

    def stop(self) -> None:
        """Call the hook, unless another one hung, and end what is left in the event loop."""
        if self.loop.hung:
            self.loop.close(wait=False)
            return
        try:
            self._call("stop")
        finally:
            self.loop.close(wait=not self.loop.hung)

    def give_up(self, *, for_good: bool) -> None:
        """End what can be ended of a call that hangs, from another thread: a coroutine.

        Args:
            for_good: Whether nothing of it is called again: what is left in its loop ends too.
        """
        self.loop.cancel()
        if for_good:
            self.loop.close(wait=False)

    def ask(self, hook: str, **arguments: object) -> Any:
        """Call a hook that answers, on an instance that was not started.

        Returns:
            What it gives; None if it gives nothing, or is not there.
        """
        try:
            return self._call(hook, **arguments)
        finally:
            self.loop.close()

    def _call(self, hook: str, /, **arguments: object) -> Any:
        caller = getattr(self.manager.hook, hook)
        result = caller(**arguments)
        if not caller.spec.opts["firstresult"]:
            result = result[0] if result else None  # a list, of one plugin
        if result is not None and hook in self.coroutines:
            # At the start nobody is there yet who looks for calls that hang, and a start that
            # failed is followed by a stop.
            timeout = self.hook_timeout_seconds if hook in {"start", "stop"} else None
            result = self.loop.run(hook, result, timeout)
        refuse_odd_result(hook, result)
        return result


def checked(
    name: str,
    instance: object,
    delivery: DeliveryConfig,
    *,
    make: Callable[[], object] | None = None,
) -> Plugin:
    """Register *instance* with a manager of its own.

    Args:
        name: Of the plugin.
        instance: What its author wrote.
        delivery: How events come to it.
        make: Makes another instance; None if that cannot be done.

    Raises:
        ValueError: It implements no hook, one that does not exist, or one with an argument
            that the hook does not have; or it says of a call that it takes no time that can be.
        HookShapeError: A hook is a generator.
    """
    if isinstance(instance, type):
        raise ValueError(f"expected an instance, got the class {instance.__name__}")
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
        name, instance, delivery, frozenset(functions), frozenset(coroutines), manager, make,
        HookLoop(name),
    )  # fmt: skip
    _ = plugin.sampling, plugin.hook_timeout_seconds  # raises now rather than later
    return plugin


def load_plugins(config: Config) -> tuple[list[Plugin], list[ConfigProblem]]:
    """Import, configure and check the plugins that *config* names, and no others."""
    plugins: list[Plugin] = []
    problems: list[ConfigProblem] = []
    installed = installed_plugins() if config.plugins else {}
    for table in config.plugins.values():
        plugin, found = _load(table, config, installed)
        problems.extend(found)
        if plugin is not None:
            plugins.append(plugin)
    return plugins, problems


def take_instances(
    instances: Iterable[object], loaded: Iterable[Plugin], delivery: DeliveryConfig
) -> list[Plugin]:
    """Check plugins that a caller made, and tell them apart by name from those *loaded*.

    Raises:
        ValueError: One is no plugin.
    """
    names = {plugin.name for plugin in loaded}
    plugins = []
    for instance in instances:
        base = getattr(instance, "name", None) or type(instance).__name__.lower()
        name, number = str(base), 2
        while name in names:
            name, number = f"{base}-{number}", number + 1
        names.add(name)
        plugins.append(checked(name, instance, delivery))
    return plugins


def load_class(
    table: PluginTable, installed: Mapping[str, Sequence[InstalledPlugin]]
) -> tuple[Any, list[ConfigProblem]]:
    """Import the class of the plugin that *table* names."""
    candidates = installed.get(table.name, ())
    if not candidates:
        return None, [table.problem(_not_installed(table.name, installed))]
    if len(candidates) > 1:
        claims = " and ".join(f"{one.distribution} {one.version}" for one in candidates)
        return None, [table.problem(f"claimed by {claims}: uninstall all but one of them")]
    found = candidates[0]
    origin = f"{found.distribution} {found.version}"
    shipped = SHIPPED.get(table.name)
    if shipped is not None and found.distribution != shipped:
        message = f"{origin} claims this name, which belongs to {shipped}: uninstall it"
        return None, [table.problem(message)]
    try:
        plugin_class = found.entry_point.load()
    except BaseException as error:  # a module may do anything when imported, even sys.exit()
        if isinstance(error, KeyboardInterrupt) or is_from_handler(error):
            raise
        return None, [table.problem(f"{origin} fails on import ({line_of(error)})")]
    if not inspect.isclass(plugin_class) or not hasattr(plugin_class, "Config"):
        value = found.entry_point.value
        return None, [
            table.problem(f"{origin}: {value} is no plugin: expected a class with a 'Config'")
        ]
    return plugin_class, []


def _load(
    table: PluginTable, config: Config, installed: Mapping[str, Sequence[InstalledPlugin]]
) -> tuple[Plugin | None, list[ConfigProblem]]:
    plugin_class, problems = load_class(table, installed)
    if problems:
        return None, problems
    settings, delivery, problems = structure_plugin_table(
        table, plugin_class.Config, config.delivery
    )
    if settings is None or problems:
        return None, problems
    try:
        make = partial(plugin_class, settings)
        return checked(table.name, make(), delivery, make=make), []
    except Exception as error:  # noqa: BLE001 - its __init__ is its author's
        reason = message_of(error) if isinstance(error, ValueError) else line_of(error)
        return None, [table.problem(f"{plugin_class.__name__}: {reason}")]


def _not_installed(name: str, installed: Iterable[str]) -> str:
    names = sorted({*installed, *SHIPPED})
    close = difflib.get_close_matches(name, names, 1)
    if name in SHIPPED:
        return f"this plugin is not installed: it comes with {SHIPPED[name]}"
    if close:
        return f"no such plugin is installed (did you mean '{close[0]}'?)"
    there = ", ".join(installed) or "none"
    return f"no such plugin is installed (installed: {there})"


def _is_marked(attribute: object) -> bool:
    return inspect.getattr_static(attribute, f"{PROJECT_NAME}_impl", None) is not None


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
        ValueError: It exports, or takes the place of one with a mark in a base class.
    """
    for name in sorted(names):
        if callable(inspect.getattr_static(instance, name, None)) and (
            name.startswith("export_")
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
