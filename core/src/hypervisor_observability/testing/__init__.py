"""What authors of plugins prove theirs with: classes of tests to be subclassed, and checks."""

from .payloads import check_payloads
from .source_contract import SourceContract
from .source_pieces import Piece, Seen
from .source_scripts import AgentScript, CallTools, Fail, HandOff, Say, Stall, ToolCall, Turn, Usage
from .store_contract import StoreContract

__all__ = [
    "AgentScript",
    "CallTools",
    "Fail",
    "HandOff",
    "Piece",
    "Say",
    "Seen",
    "SourceContract",
    "Stall",
    "StoreContract",
    "ToolCall",
    "Turn",
    "Usage",
    "check_payloads",
]
