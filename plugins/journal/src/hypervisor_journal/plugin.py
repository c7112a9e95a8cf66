"""The plugin: a store on disk.

Each hook imports what it needs: who asks a journal needs no writer, and who writes one no reader.
"""

from collections.abc import Sequence

import click
from attrs import define

from hypervisor_journal.config import JournalConfig
from hypervisor_observability import PluginContext, hookimpl
from hypervisor_observability.stores import (
    FollowedStore,
    History,
    HistoryContext,
    Store,
    StoreContext,
)


@define(eq=False)
class JournalPlugin:
    """Keep what is emitted in a directory, which many processes may share.

    Attributes:
        config: Where, and how much.
    """

    config: JournalConfig

    Config = JournalConfig
    name = "journal"

    @hookimpl
    def open_store(self, context: StoreContext) -> Store:
        """Give the run of this process, which begins with its start."""
        from hypervisor_journal.store import JournalStore

        return JournalStore(self.config, context)

    @hookimpl
    def follow_store(self) -> FollowedStore:
        """Give all runs of the directory, the living and the dead."""
        from hypervisor_journal.followed_journal import FollowedJournal

        return FollowedJournal(self.config.directory)

    @hookimpl
    def open_history(self, context: HistoryContext) -> History:
        """Give the events of all runs of the directory."""
        from hypervisor_journal.reading.history import JournalHistory

        return JournalHistory.of(self.config.directory, context)

    @hookimpl
    def check(self, context: PluginContext) -> str:
        """Say where the journal is, and whether a process could write it."""
        from hypervisor_journal.checking import check_journal

        return check_journal(self.config, f"plugins.{context.name}")

    @classmethod
    @hookimpl
    def commands(cls) -> Sequence[click.Command]:
        """Give ``verify``, ``erase`` and ``key``, for any directory and without a table."""
        from hypervisor_journal.commands.erase import erase_command
        from hypervisor_journal.commands.key import key_command
        from hypervisor_journal.commands.verify import verify_command

        return [erase_command, key_command, verify_command]
