"""Causal ids, as ``hypervisor.observability.causal_trace``."""

from hypervisor_observability.causality.causal_trace import CausalTraceId

__all__ = ["CausalTraceId"]
