"""Causal ids, as ``hypervisor.observability.causal_trace``."""

from ..causality.causal_trace import CausalTraceId

__all__ = ["CausalTraceId"]
