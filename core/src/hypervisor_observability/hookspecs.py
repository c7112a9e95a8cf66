"""The contract between the core and a plugin, in the order of a plugin's life.

A plugin is a class that an entry point of the group ``hypervisor.observability`` names::

    [project.entry-points."hypervisor.observability"]
    console = "hypervisor_console:ConsolePlugin"

It is used only if the configuration has a table ``[plugins.console]``. If it has a class
attribute ``Config``, an attrs class or a dataclass, the table is structured into that, strictly,
and ``__init__`` gets the result. ``__init__`` does no work::

    @define(eq=False)
    class ConsolePlugin:
        config: ConsoleConfig
        Config = ConsoleConfig

        @hookimpl
        def export_events(self, events: Sequence[HypervisorEvent]) -> None:
            for event in events:
                print(event.event_type.value, event.agent_did)

A plugin implements the hooks that it needs, marked with ``hookimpl``, and leaves out the
arguments that it does not use. Two hooks of one plugin never run at once, so it needs no
lock. Plugins know nothing of each other, and their order is not defined. What a hook raises
never reaches the application.

A hook may be a coroutine function. All of a plugin's coroutines, those of ``start`` and ``stop``
included, run in one event loop, in a thread of its own, which also runs between calls: a
connection stays open, and a background task goes on. A coroutine that hangs is cancelled. A
generator is refused, and so is a plain hook that returns a coroutine or a future.

A configuration may leave export hooks without work. An attribute or property ``idle_hooks``, a set,
names them: they are not called, and no event is copied and no span assembled for them.

Events wait 0.2 seconds at most, or as the class attribute ``default_interval_seconds`` says; the
user's ``interval_seconds`` goes before it.

A call hangs when it takes longer than ``hook_timeout_seconds``, and longer than one and a half
times the attribute ``longest_call_seconds``, if the plugin has one: seconds that one call may
take, with all its requests, look-ups and attempts. The instance is then given up and a fresh one
made; see ``start``.
"""

import logging
from collections.abc import Callable, MutableMapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import click
import pluggy
from attrs import field, frozen

from .command_context import CommandContext as CommandContext  # noqa: PLC0414 - offered here
from .events.event import HypervisorEvent

if TYPE_CHECKING:  # whoever has no such hook loads neither
    from .facts.prices import Prices
    from .metrics.families import MetricFamily
    from .sources import SourceContext
    from .spans.record import FinishedSpan
    from .stores import (
        FollowContext,
        FollowedStore,
        History,
        HistoryContext,
        Store,
        StoreContext,
    )

ENTRY_POINT_GROUP = "hypervisor.observability"
PROJECT_NAME = "hypervisor_observability"

API_VERSION = 1
"""Version of the plugin API: of these hooks, and what they are given. A hook, an argument or a key
that is added is no new version, as no plugin needs it; one that is taken away or means something
else is. A plugin says which it was written for: ``api_version = 1``; without, it is 1."""
OLDEST_API_VERSION = 1
"""Plugins that were written for an older one are refused. A version stays for a year, and for two
minor releases, after the next one has come."""

hookspec = pluggy.HookspecMarker(PROJECT_NAME)
hookimpl = pluggy.HookimplMarker(PROJECT_NAME)
"""Marks a method of a plugin as a hook: write ``@hookimpl`` above it."""


class MetricsView(Protocol):
    """The metrics, for a plugin whose backend asks for them (scrapes)."""

    def collect(self) -> Sequence["MetricFamily"]:
        """Count what was emitted until now, as far as that takes no more than 100 ms, and
        give all families in the order of their registration. May be called from any thread.
        """


@frozen(kw_only=True)
class PluginContext:
    """What a plugin is told about its surroundings.

    Attributes:
        name: The name of its table.
        service: ``service`` of the configuration: what the backend calls the application.
        logger: A logger of its own.
        metrics: The metrics of the process.
        clock: Gives the present time in nanoseconds since the epoch.
        resumed: Whether the metrics begin with totals that an earlier process has counted: a
            plugin that sends differences begins with what they are now.
        kept: A place for what has to outlive the instance. A fresh instance that takes over from
            one that hung finds there what that one put in, such as the totals already sent to a
            backend. A call that hangs may still come back and use it. A fork's child begins with
            an empty one; no other process sees it.
        prices: To estimate costs that were not reported; None: they are not estimated.
    """

    name: str
    service: str
    logger: logging.Logger
    metrics: MetricsView
    clock: Callable[[], int]
    resumed: bool = False
    kept: MutableMapping[str, Any] = field(factory=dict)
    prices: "Prices | None" = None


@hookspec
def start(context: PluginContext) -> None:
    """Prepare: open sockets, start a server.

    Called once, in the thread that starts the observability, before any other hook. A
    coroutine runs in the plugin's event loop, while that thread waits. If the plugin cannot
    run (a port is taken), raise: it is reported as down with the exception, of its other hooks
    only ``stop`` is called, and the other plugins run. Raise ``RetryLater`` to be started again
    later, in the plugin's own thread; until then events wait.

    A fresh instance that takes over from one that hangs is started in the plugin's own thread.

    :param context: The plugin's surroundings. Keep it if you need it later.
    """


@hookspec
def export_events(events: Sequence[HypervisorEvent]) -> None:
    """Send *events* to the backend.

    It may block: each plugin has its own thread. Returning means that the backend has the
    events. Raise ``RetryLater`` to be offered the same batch again. ``Reject`` or any other
    exception refuses the batch, which is then halved until the bad event is alone. That event
    is offered once more, and then rejected.

    :param events: Between 1 and ``max_batch_events`` events, oldest first.
    """


@hookspec
def export_spans(spans: Sequence["FinishedSpan"]) -> None:
    """Send finished *spans* to the backend; the rules are those of ``export_events``.

    Spans are assembled only for plugins that have this hook. The spans of one call come
    from one batch of events. A batch that finishes no span makes no call.

    :param spans: At least one, in the order in which they ended.
    """


@hookspec
def export_metrics(metrics: Sequence["MetricFamily"]) -> None:
    """Push the present state of all metrics to the backend.

    For backends to which metrics are pushed. Called every ``metrics_interval_seconds``
    if anything is new, and at a flush. Counters are totals since the moment ``since_ns`` of
    their family, which outlives a plugin's instance and the restart of an agent. If the
    backend wants differences, keep the totals already sent in ``context.kept``. If it raises,
    nothing is lost: the next call carries the same totals and more.

    :param metrics: All families that have series.
    """


@hookspec
def flush() -> None:
    """Send what the plugin itself holds back, if anything.

    Called when the application asks to flush, once the export hooks have been given
    everything that was emitted before. If it raises, the application's ``flush`` returns False.
    """


@hookspec
def stop() -> None:
    """Close sockets, files and servers.

    Called once, last, even after a ``start`` that raised.
    """


# Of a source: see hypervisor_observability.sources


@hookspec
def instrument(context: "SourceContext") -> None:
    """Observe the framework: register a callback, wrap a method.

    Called once, or once for each of its ``targets`` if the source sets ``each_target``. It runs in
    the thread whose import of the framework has just ended, before that import returns; or in the
    thread that starts the observability. So it must not block, and cannot be a coroutine
    function. If it cannot be done, raise: the source is reported as down, ``uninstrument`` takes
    back what was done, and the import continues.

    :param context: Keep it: its recorder writes events, and its ``guarded`` makes callbacks.
    """


@hookspec
def uninstrument() -> None:
    """Leave the framework as it was.

    Called once, when the observability stops, before what was written is delivered: work that is
    still open may be closed. Called after an ``instrument`` that raised, too, but never if that was
    not called. It cannot be a coroutine function either.
    """


# Of a store: see hypervisor_observability.stores


@hookspec(firstresult=True)
def open_store(context: "StoreContext") -> "Store | None":
    """Return the store that keeps the events of this process.

    Called when the observability is made, before anything starts. Check the configuration, and
    open nothing: ``Store.start`` does. Raise ``SettingError`` for a value of the table that cannot
    be used.

    :param context: What the store needs from the process.
    """


@hookspec(firstresult=True)
def open_history(context: "HistoryContext") -> "History | None":
    """Return what was recorded until now, for commands such as ``hvobs query``.

    Called on an instance that was not started. If nothing is recorded yet, raise ``NoHistoryError``
    and name the place; if ``context.may_be_empty``, only if there can never be a history.

    :param context: Who asks, and where to report what cannot be read.
    """


@hookspec(firstresult=True)
def follow_store(context: "FollowContext") -> "FollowedStore | None":
    """Return what all processes record, for ``hvobs agent``. Open nothing yet.

    :param context: What the store needs from the agent.
    """


@hookspec(firstresult=True)
def check(context: PluginContext) -> str | None:
    """Find out whether the backend answers.

    ``hvobs check`` calls it on an instance that was not started. If something is wrong, raise an
    exception that says what, and what would be right.

    :param context: The same that ``start`` would get.
    :returns: One line on what was reached, such as ``OTLP at http://127.0.0.1:4318``.
    """


@hookspec(firstresult=True)
def commands() -> Sequence[click.Command] | None:
    """Return the plugin's own commands, which become ``hvobs NAME COMMAND``.

    Called on an instance that was not started, made with the plugin's table or, if there is
    none, with its defaults. If the commands work without a table, although some of its keys are
    required, write a class method (``@classmethod`` above ``@hookimpl``): it is called on the
    class, whatever the configuration holds. A command gets a ``CommandContext`` with
    ``@click.pass_obj``, and asks it for the configuration if it needs any.
    """


@hookspec(firstresult=True)
def trace_url(trace: str) -> str | None:
    """Return the address under which the backend shows a trace.

    ``hvobs tree --links`` calls it on an instance that was not started, ``hvobs run`` at its end on
    one that has stopped, and ``observability.trace_urls`` on one that runs.

    :param trace: The trace's id in its wide form, 32 hexadecimal digits.
    """


@hookspec(firstresult=True)
def page_url() -> str | None:
    """Return the address of a page that the running plugin serves for people; None: it serves none.

    It may hold what lets a viewer in, so it is never logged: ``hvobs run`` writes it to a terminal
    alone, and to a file only scheme, host and port; ``observability.page_urls`` gives it to the
    application.
    """
