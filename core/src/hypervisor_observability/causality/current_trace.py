"""The causal trace that the running code works under.

A context variable holds it, so every asyncio task and every thread has its own. A task
starts with the trace of the code that created it; a new thread starts with none.
"""

from .causal_trace import CausalTraceId
from .standing import activate, standing

__all__ = ["activate", "current_trace"]


def current_trace() -> CausalTraceId | None:
    """Return the trace that is active here; None if there is none."""
    trace: CausalTraceId | None = standing().trace
    return trace
