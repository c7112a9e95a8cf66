"""Metrics and durations of governed multi-agent systems for StatsD."""

from hypervisor_statsd.config import DurationType, StatsDConfig, TagDialect, Via
from hypervisor_statsd.plugin import StatsDPlugin

__all__ = ["DurationType", "StatsDConfig", "StatsDPlugin", "TagDialect", "Via"]
