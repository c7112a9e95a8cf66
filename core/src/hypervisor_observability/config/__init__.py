"""The configuration: what can be set, and how a file or a Python program sets it."""

from .loading import load_config, read_config, structure_plugin_table
from .lookup import disabled, find_config
from .paths import absolute_path, optional_absolute_path
from .plugin_tables import DeliveryConfig, PluginTable, matches
from .secret import Secret
from .settings import (
    BusConfig,
    Config,
    JournalConfig,
    MetricsConfig,
    PropagationConfig,
    RedactionConfig,
    StateConfig,
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
    "absolute_path",
    "disabled",
    "find_config",
    "load_config",
    "matches",
    "optional_absolute_path",
    "read_config",
    "structure_plugin_table",
]
