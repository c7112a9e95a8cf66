"""Causal ids, as ``hypervisor.observability.causal_trace``."""

from hypervisor_observability.causal_trace import CausalTraceId

__all__ = ["CausalTraceId"]
