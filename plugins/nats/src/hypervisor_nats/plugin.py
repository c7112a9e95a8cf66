"""The plugin: a store that many machines share.

Each hook imports what it needs: who ships needs no reader, and who asks no shipper.
"""

from collections.abc import Sequence

import click
from attrs import define, field

from hypervisor_nats.config import NatsConfig
from hypervisor_observability import PluginContext, hookimpl
from hypervisor_observability.stores import (
    FollowedStore,
    History,
    HistoryContext,
    OnlyReadError,
    Store,
    StoreContext,
)


@define(eq=False)
class NatsPlugin:
    """Keep what is emitted in a journal, and send that to the stream of a fleet.

    Attributes:
        config: Where, and how much.
    """

    config: NatsConfig = field(factory=NatsConfig)

    Config = NatsConfig
    name = "nats"

    @hookimpl
    def open_store(self, context: StoreContext) -> Store:
        """Give the journal of this process, which is sent to the stream.

        Raises:
            OnlyReadError: The table names no journal.
        """
        if self.config.journal is None:
            raise OnlyReadError(
                "journal",
                "a process that emits keeps its events in a journal first: "
                f'write [plugins.{context.name}.journal] with directory = "journal"',
            )
        if not self.config.ship:
            from hypervisor_journal.store import JournalStore

            return JournalStore(self.config.journal, context)
        from hypervisor_nats.shipping.store import ShippedJournal

        return ShippedJournal(self.config, self.config.journal, context)

    @hookimpl
    def follow_store(self) -> FollowedStore:
        """Give what all machines record, a part of it to each of the agents that share it."""
        from hypervisor_nats.following.followed_fleet import FollowedFleet

        return FollowedFleet(self.config)

    @hookimpl
    def check(self, context: PluginContext) -> str:
        """Say whether the servers answer, and what the stream holds."""
        from hypervisor_nats.checking import check_fleet

        return check_fleet(self.config, f"plugins.{context.name}")

    @hookimpl
    def open_history(self, context: HistoryContext) -> History:
        """Give the events of all runs of the stream."""
        from hypervisor_nats.asking.history import FleetHistory

        return FleetHistory.of(self.config, context)

    @classmethod
    @hookimpl
    def commands(cls) -> Sequence[click.Command]:
        """Give what ``hvobs nats`` can do."""
        from hypervisor_nats.commands.init import init_command
        from hypervisor_nats.commands.ship import ship_command
        from hypervisor_nats.commands.status import status_command
        from hypervisor_nats.commands.verify import verify_command

        return [init_command, ship_command, status_command, verify_command]
