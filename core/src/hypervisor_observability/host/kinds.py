"""The kinds of plugins: what they have to do with events decides what their tables take."""

from collections.abc import Iterable, Mapping

from attrs import AttrsInstance, field, frozen

from ..config import DeliveryConfig
from ..config.plugin_tables import SourceConfig, StoreConfig
from .plugin import Plugin
from .plugin_checks import has_hook
from .sources.framework import SOURCE_HOOKS
from .store_parts import STORE_HOOKS

_EXPORTS = dict.fromkeys(
    ("export_events", "export_metrics", "export_spans"), "write a plugin beside it, which exports"
)


@frozen(eq=False)
class Kind:
    """A kind of plugin.

    Attributes:
        name: With its article.
        does: What it does with events.
        hooks: Those that make a plugin one.
        uncalled: Hooks that nobody calls on one, with what is there instead.
        takes_no: What is said of a key in its table that is about delivery.
    """

    name: str
    does: str = ""
    hooks: frozenset[str] = frozenset()
    uncalled: Mapping[str, str] = field(factory=dict)
    takes_no: str = ""

    def common(self, delivery: DeliveryConfig) -> AttrsInstance:
        """Give the keys that its table takes beside the plugin's own, with their defaults.

        Args:
            delivery: Those of a reader.
        """
        if self is SOURCE:
            return SourceConfig()
        return StoreConfig() if self is STORE else delivery

    def mistakes(self, hooks: frozenset[str]) -> Iterable[str]:
        """Say what is wrong with a plugin of this kind that has these *hooks*."""
        for hook in sorted(hooks & self.uncalled.keys()):
            instead = self.uncalled[hook]
            yield f"{self.name} {self.does}, and nobody calls its hook {hook}: {instead}"
        if self is SOURCE and "instrument" not in hooks:
            yield "a source has the hook instrument, beside uninstrument"


STORE = Kind(
    "a store",
    "keeps events",
    STORE_HOOKS,
    {
        "start": "Store.start begins it",
        "flush": "Store.sync has it keep what was recorded",
        "stop": "Store.stop ends it",
        **_EXPORTS,
        **dict.fromkeys(SOURCE_HOOKS, "write a plugin beside it, which is a source"),
    },
    "a store keeps every event as it comes: it takes no such key",
)
SOURCE = Kind(
    "a source",
    "writes events",
    SOURCE_HOOKS,
    {
        "start": "instrument begins it",
        "flush": "its events are flushed like all others",
        "stop": "uninstrument ends it",
        **_EXPORTS,
    },
    "a source writes events and reads none: it takes no such key",
)
READER = Kind("a reader")


def kind_of(plugin: Plugin) -> Kind:
    """Tell the kind of *plugin* by its hooks."""
    return _kind(plugin.hooks)


def kind_of_class(plugin_class: type) -> Kind:
    """Tell the kind of a plugin by its class, of which nothing is made."""
    return _kind({hook for hook in STORE_HOOKS | SOURCE_HOOKS if has_hook(plugin_class, hook)})


def _kind(hooks: Iterable[str]) -> Kind:
    for kind in (STORE, SOURCE):
        if not kind.hooks.isdisjoint(hooks):
            return kind
    return READER
