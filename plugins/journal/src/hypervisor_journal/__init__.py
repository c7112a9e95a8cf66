"""The journal: the events of governed multi-agent systems on disk, in a record to be proven."""

from hypervisor_journal.config import JournalConfig
from hypervisor_journal.plugin import JournalPlugin

__all__ = ["JournalConfig", "JournalPlugin"]
