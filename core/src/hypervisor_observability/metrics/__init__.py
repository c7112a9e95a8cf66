"""Metrics: plain data, and the readers of events that keep it."""
