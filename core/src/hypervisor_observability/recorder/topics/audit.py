"""The audit log: deltas, commitments, collections of garbage."""

from collections.abc import Sequence

from ...events.event import HypervisorEvent
from ...events.event_types import EventType
from .topic import Topic


class Audit(Topic):
    """Records what becomes of the session's audit log."""

    def delta_captured(
        self,
        delta_id: str,
        *,
        turn_id: int | None = None,
        delta_hash: str | None = None,
        parent_hash: str | None = None,
        change_count: int | None = None,
    ) -> HypervisorEvent | None:
        """Record that a delta was appended.

        Args:
            delta_id: Unique.
            turn_id: The turn that it comes from.
            delta_hash: Its digest.
            parent_hash: The digest of the one before it.
            change_count: How many changes are in it.
        """
        return self._record(EventType.AUDIT_DELTA_CAPTURED, locals())

    def committed(
        self,
        hash_chain_root: str,
        *,
        delta_count: int | None = None,
        participant_dids: Sequence[str] | None = None,
        committed_to: str | None = None,
    ) -> HypervisorEvent | None:
        """Record that the log was committed to.

        Args:
            hash_chain_root: The digest of all of it.
            delta_count: How many deltas it holds.
            participant_dids: Whose work it holds.
            committed_to: Where the digest was left.
        """
        participant_dids = None if participant_dids is None else list(participant_dids)
        return self._record(EventType.AUDIT_COMMITTED, locals())

    def gc_collected(
        self,
        *,
        retained_deltas: int | None = None,
        purged_vfs_files: int | None = None,
        purged_caches: int | None = None,
        storage_saved_bytes: int | None = None,
    ) -> HypervisorEvent | None:
        """Record that what is needed no more was removed.

        Args:
            retained_deltas: How many deltas were kept.
            purged_vfs_files: How many files went.
            purged_caches: How many caches went.
            storage_saved_bytes: Bytes that this freed.
        """
        return self._record(EventType.AUDIT_GC_COLLECTED, locals())
