"""Instrumentation: context managers that record events, so that nobody writes them by hand."""

from hypervisor_observability.recorder.agent import Agent
from hypervisor_observability.recorder.elevation import Elevation
from hypervisor_observability.recorder.recorder import Recorder
from hypervisor_observability.recorder.saga import Saga
from hypervisor_observability.recorder.saga_step import Compensation, Step
from hypervisor_observability.recorder.scope import Scope
from hypervisor_observability.recorder.session import Session

__all__ = [
    "Agent",
    "Compensation",
    "Elevation",
    "Recorder",
    "Saga",
    "Scope",
    "Session",
    "Step",
]
