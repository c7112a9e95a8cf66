"""Instrumentation: context managers that record events, so that nobody writes them by hand."""

from .agent import Agent
from .carrying import CarryingExecutor, carry
from .compensation import Compensation
from .elevation import Elevation
from .fan_out import FanOut
from .keyed_work import HERE
from .model import ModelCall
from .recorder import Recorder
from .run import Run
from .saga import Saga
from .saga_step import Step
from .scope import Scope
from .session import Session
from .tool import ToolCall

__all__ = [
    "HERE",
    "Agent",
    "CarryingExecutor",
    "Compensation",
    "Elevation",
    "FanOut",
    "ModelCall",
    "Recorder",
    "Run",
    "Saga",
    "Scope",
    "Session",
    "Step",
    "ToolCall",
    "carry",
]
