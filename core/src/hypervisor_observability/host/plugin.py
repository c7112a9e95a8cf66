"""One plugin: an author's object, with its hooks and how events wait for it."""

from collections.abc import Callable, Sequence
from math import inf
from typing import TYPE_CHECKING, Any

import pluggy
from attrs import field, frozen

from ..config import DeliveryConfig
from ..config.plugin_tables import DAY_SECONDS, DEFAULT_INTERVAL_SECONDS, SourceConfig
from ..events.event import HypervisorEvent
from ..hookspecs import PluginContext
from ..metrics.families import MetricFamily
from ..spans.record import FinishedSpan
from ..spans.sampling import Sampling
from .hook_loop import HookLoop
from .hook_results import refuse_odd_result

if TYPE_CHECKING:
    from ..sources import SourceContext

_HANG_MARGIN = 1.5
"""A call that takes longer than its plugin says by more than this factor hangs."""

_UNWATCHED = frozenset({"start", "stop", "open_store"})
"""Hooks that are called while nobody looks for calls that hang."""


@frozen(eq=False)
class Plugin:
    """A plugin that was made and checked, not yet started.

    Attributes:
        name: Of its table.
        instance: The object that its author wrote.
        delivery: How events wait for it.
        hooks: The hooks that it implements, without those that its configuration leaves idle.
        coroutines: Those that it implements as coroutine functions.
        manager: Calls these hooks. Each plugin has its own: pluggy ends a call at the
            first exception, and the plugins behind it would not be called.
        renewed: Makes another one with the same configuration, not started; raises what its
            ``__init__`` raises. None where a caller made the instance that there is.
        loop: Runs those hooks that are coroutine functions.
        common: What a source's table says beside its own keys.
    """

    name: str
    instance: object
    delivery: DeliveryConfig
    hooks: frozenset[str]
    coroutines: frozenset[str]
    manager: pluggy.PluginManager
    renewed: "Callable[[], Plugin] | None" = None
    loop: HookLoop = field(factory=HookLoop)
    common: SourceConfig = field(factory=SourceConfig)

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

    @property
    def interval_seconds(self) -> float:
        """For how long an event waits at most: as configured, else as its author has chosen.

        Raises:
            ValueError: What its author has chosen is no such time.
        """
        chosen = getattr(self.instance, "default_interval_seconds", DEFAULT_INTERVAL_SECONDS)
        is_number = isinstance(chosen, int | float) and not isinstance(chosen, bool)
        if not is_number or not 0 < chosen <= DAY_SECONDS:
            msg = (
                "default_interval_seconds: expected a number of seconds, above 0 and up to"
                f" {DAY_SECONDS:,}, got {chosen!r:.80}"
            )
            raise ValueError(msg)
        return self.delivery.interval_seconds or chosen

    @property
    def takes_events(self) -> bool:
        """Whether its hook ``export_events`` is called."""
        return "export_events" in self.hooks

    @property
    def takes_spans(self) -> bool:
        """Whether its hook ``export_spans`` is called."""
        return "export_spans" in self.hooks

    @property
    def takes_metrics(self) -> bool:
        """Whether its hook ``export_metrics`` is called."""
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

    def instrument(self, context: "SourceContext") -> None:
        """Call the hook."""
        self._call("instrument", context=context)

    def uninstrument(self) -> None:
        """Call the hook."""
        self._call("uninstrument")

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
            timeout = self.hook_timeout_seconds if hook in _UNWATCHED else None
            result = self.loop.run(hook, result, timeout)
        refuse_odd_result(hook, result)
        return result
