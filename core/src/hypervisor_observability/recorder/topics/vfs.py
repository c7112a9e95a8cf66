"""The files of a session."""

from collections.abc import Mapping

from ...events.event import HypervisorEvent
from ...events.event_types import EventType
from .topic import Topic


class Vfs(Topic):
    """Records what becomes of the session's files."""

    def write(
        self, path: str, *, content_hash: str | None = None, previous_hash: str | None = None
    ) -> HypervisorEvent | None:
        """Record that the agent wrote a file.

        Args:
            path: The file.
            content_hash: Digest of what is in it now.
            previous_hash: Digest of what was in it before.
        """
        operation = "write"
        return self._record(EventType.VFS_WRITE, locals())

    def delete(self, path: str, *, previous_hash: str | None = None) -> HypervisorEvent | None:
        """Record that the agent deleted a file.

        Args:
            path: The file.
            previous_hash: Digest of what was in it.
        """
        operation = "delete"
        return self._record(EventType.VFS_DELETE, locals())

    def snapshot(self, snapshot_id: str) -> HypervisorEvent | None:
        """Record that the files were saved as they are."""
        operation = "snapshot"
        return self._record(EventType.VFS_SNAPSHOT, locals())

    def restore(self, snapshot_id: str) -> HypervisorEvent | None:
        """Record that the files are again as they were saved."""
        operation = "restore"
        return self._record(EventType.VFS_RESTORE, locals())

    def conflict(
        self,
        path: str,
        *,
        conflicting_agent_did: str | None = None,
        vector_clock: Mapping[str, int] | None = None,
    ) -> HypervisorEvent | None:
        """Record that two agents wrote a file and neither knew of the other.

        Args:
            path: The file.
            conflicting_agent_did: The other agent.
            vector_clock: What this one had seen, by agent.
        """
        operation = "conflict"
        return self._record(EventType.VFS_CONFLICT, locals())
