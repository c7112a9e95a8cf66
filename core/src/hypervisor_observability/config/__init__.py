"""The configuration: what can be set, and how a file or a Python program sets it."""

from .class_structuring import NONE_WRITTEN_AS
from .extras import needs
from .loading import load_config, read_config, structure_plugin_table
from .lookup import disabled, find_config
from .paths import absolute_path, optional_absolute_path
from .plugin_tables import DAY_SECONDS, DeliveryConfig, PluginTable, matches
from .secret import Secret
from .settings import (
    BusConfig,
    Config,
    MetricsConfig,
    PropagationConfig,
    RedactionConfig,
    StateConfig,
    UsageConfig,
)

__all__ = [
    "DAY_SECONDS",
    "NONE_WRITTEN_AS",
    "BusConfig",
    "Config",
    "DeliveryConfig",
    "MetricsConfig",
    "PluginTable",
    "PropagationConfig",
    "RedactionConfig",
    "Secret",
    "StateConfig",
    "UsageConfig",
    "absolute_path",
    "disabled",
    "find_config",
    "load_config",
    "matches",
    "needs",
    "optional_absolute_path",
    "read_config",
    "structure_plugin_table",
]
