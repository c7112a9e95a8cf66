"""Metrics of governed multi-agent systems for Prometheus to scrape."""

from hypervisor_prometheus.applications import asgi_app, wsgi_app
from hypervisor_prometheus.config import PrometheusConfig
from hypervisor_prometheus.leaving import push, write_textfile
from hypervisor_prometheus.plugin import PrometheusPlugin
from hypervisor_prometheus.rendering import HypervisorCollector

__all__ = [
    "HypervisorCollector",
    "PrometheusConfig",
    "PrometheusPlugin",
    "asgi_app",
    "push",
    "write_textfile",
    "wsgi_app",
]
