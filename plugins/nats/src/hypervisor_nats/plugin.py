"""The plugin: a store that many machines share.

Each hook imports what it needs: who ships needs no reader, and who asks no shipper.
"""

from collections.abc import Sequence

import click
from attrs import define, field

from hypervisor_nats.config import NatsConfig
from hypervisor_observability import hookimpl


@define(eq=False)
class NatsPlugin:
    """Keep what is emitted in a journal, and send that to the stream of a fleet.

    Attributes:
        config: Where, and how much.
    """

    config: NatsConfig = field(factory=NatsConfig)

    Config = NatsConfig
    name = "nats"

    @classmethod
    @hookimpl
    def commands(cls) -> Sequence[click.Command]:
        """Give what ``hvobs nats`` can do."""
        from hypervisor_nats.commands.ship import ship_command

        return [ship_command]
