"""Instrumentation: context managers that record events, so that nobody writes them by hand."""

from .agent import Agent
from .elevation import Elevation
from .recorder import Recorder
from .saga import Saga
from .saga_step import Compensation, Step
from .scope import Scope
from .session import Session

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
