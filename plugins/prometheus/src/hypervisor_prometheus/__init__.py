"""Metrics of governed multi-agent systems for Prometheus to scrape."""

from hypervisor_prometheus.config import PrometheusConfig
from hypervisor_prometheus.plugin import PrometheusPlugin

__all__ = ["PrometheusConfig", "PrometheusPlugin"]
