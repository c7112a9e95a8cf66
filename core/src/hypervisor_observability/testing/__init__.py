"""What authors of plugins prove theirs with: classes of tests to be subclassed, and checks."""

from .http_receiver import HTTPReceiver, ReceivedRequest
from .otlp_receiver import OTLPReceiver
from .payloads import check_payloads
from .plugin_contexts import context_for
from .plugin_contract import PluginContract
from .receiver import Fault, Receiver
from .source_contract import SourceContract
from .source_pieces import Piece, Seen
from .source_scripts import AgentScript, CallTools, Fail, HandOff, Say, Stall, ToolCall, Turn, Usage
from .store_contract import SharedStoreContract, StoreContract
from .udp_receiver import UDPReceiver

__all__ = [
    "AgentScript",
    "CallTools",
    "Fail",
    "Fault",
    "HTTPReceiver",
    "HandOff",
    "OTLPReceiver",
    "Piece",
    "PluginContract",
    "ReceivedRequest",
    "Receiver",
    "Say",
    "Seen",
    "SharedStoreContract",
    "SourceContract",
    "Stall",
    "StoreContract",
    "ToolCall",
    "Turn",
    "UDPReceiver",
    "Usage",
    "check_payloads",
    "context_for",
]
