"""Instrumentation: context managers that record events, so that nobody writes them by hand."""

from .agent import Agent
from .carrying import CarryingExecutor, carry
from .compensation import Compensation
from .elevation import Elevation
from .fan_out import FanOut
from .recorder import Recorder
from .saga import Saga
from .saga_step import Step
from .scope import Scope
from .session import Session

__all__ = [
    "Agent",
    "CarryingExecutor",
    "Compensation",
    "Elevation",
    "FanOut",
    "Recorder",
    "Saga",
    "Scope",
    "Session",
    "Step",
    "carry",
]
