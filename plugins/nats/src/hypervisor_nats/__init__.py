"""The record of a fleet: the journals of many processes in one stream on NATS JetStream.

``[plugins.nats]`` in the configuration turns :class:`NatsPlugin` on.
"""

from hypervisor_nats.config import NatsConfig
from hypervisor_nats.plugin import NatsPlugin

__all__ = ["NatsConfig", "NatsPlugin"]
