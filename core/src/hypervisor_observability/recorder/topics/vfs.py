"""The files of a session."""

from collections.abc import Mapping

from attrs import frozen

from ...events.event import HypervisorEvent
from ...events.event_types import EventType
from .record import Record


@frozen(eq=False)
class Vfs:
    """Records what becomes of the session's files."""

    _record: Record

    def write(
        self, path: str, *, content_hash: str | None = None, previous_hash: str | None = None
    ) -> HypervisorEvent | None:
        """Record that the agent wrote a file.

        Args:
            path: The file.
            content_hash: Digest of what is in it now.
            previous_hash: Digest of what was in it before.
        """
        return self._record(
            EventType.VFS_WRITE,
            path=path,
            operation="write",
            content_hash=content_hash,
            previous_hash=previous_hash,
        )

    def delete(self, path: str, *, previous_hash: str | None = None) -> HypervisorEvent | None:
        """Record that the agent deleted a file.

        Args:
            path: The file.
            previous_hash: Digest of what was in it.
        """
        return self._record(
            EventType.VFS_DELETE, path=path, operation="delete", previous_hash=previous_hash
        )

    def snapshot(self, snapshot_id: str) -> HypervisorEvent | None:
        """Record that the files were saved as they are."""
        return self._record(EventType.VFS_SNAPSHOT, snapshot_id=snapshot_id, operation="snapshot")

    def restore(self, snapshot_id: str) -> HypervisorEvent | None:
        """Record that the files are again as they were saved."""
        return self._record(EventType.VFS_RESTORE, snapshot_id=snapshot_id, operation="restore")

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
        return self._record(
            EventType.VFS_CONFLICT,
            path=path,
            operation="conflict",
            conflicting_agent_did=conflicting_agent_did,
            vector_clock=vector_clock,
        )
