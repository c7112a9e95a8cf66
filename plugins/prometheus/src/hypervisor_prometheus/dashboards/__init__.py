"""Dashboards for Grafana, made from values: every name in them is checked against the metrics."""

from hypervisor_prometheus.dashboards.agents import agents_dashboard
from hypervisor_prometheus.dashboards.pipeline import pipeline_dashboard

__all__ = ["agents_dashboard", "pipeline_dashboard"]
