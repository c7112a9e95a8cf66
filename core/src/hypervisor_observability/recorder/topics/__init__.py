"""Events without an extent, a class for each topic; ``Recorder`` has one of each."""

from .audit import Audit
from .liability import Liability
from .security import Security
from .verification import Verification
from .vfs import Vfs

__all__ = ["Audit", "Liability", "Security", "Verification", "Vfs"]
