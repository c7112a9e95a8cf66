"""Metrics and durations of governed multi-agent systems for StatsD."""

from hypervisor_statsd.config import StatsDConfig, TagDialect
from hypervisor_statsd.plugin import StatsDPlugin

__all__ = ["StatsDConfig", "StatsDPlugin", "TagDialect"]
