"""The configuration: what can be set, and how a file or a Python program sets it."""

from .lookup import disabled, find_config
from .secret import Secret
from .settings import (
    BusConfig,
    Config,
    DeliveryConfig,
    JournalConfig,
    MetricsConfig,
    PluginTable,
    PropagationConfig,
    RedactionConfig,
    StateConfig,
    load_config,
    matches,
    read_config,
    structure_plugin_table,
)

__all__ = [
    "BusConfig",
    "Config",
    "DeliveryConfig",
    "JournalConfig",
    "MetricsConfig",
    "PluginTable",
    "PropagationConfig",
    "RedactionConfig",
    "Secret",
    "StateConfig",
    "disabled",
    "find_config",
    "load_config",
    "matches",
    "read_config",
    "structure_plugin_table",
]
