"""The files of a session: writes, deletions, snapshots, and what was refused."""

from hypervisor_agent_hypervisor.wrapping import Call
from hypervisor_agent_hypervisor.writer import Writer
from hypervisor_observability import EventType


def written(writer: Writer, call: Call) -> None:
    """``SessionVFS.write``."""
    _edited(writer, call, EventType.VFS_WRITE)


def deleted(writer: Writer, call: Call) -> None:
    """``SessionVFS.delete``."""
    _edited(writer, call, EventType.VFS_DELETE)


def _edited(writer: Writer, call: Call, kind: EventType) -> None:
    edit = call.result
    writer.point(
        kind,
        call.target.session_id,
        edit.agent_did,
        path=edit.path,
        operation=edit.operation,
        content_hash=edit.content_hash,
        previous_hash=edit.previous_hash,
    )


def snapshot_taken(writer: Writer, call: Call) -> None:
    """``SessionVFS.create_snapshot``."""
    vfs = call.target
    writer.point(EventType.VFS_SNAPSHOT, vfs.session_id, None, snapshot_id=call.result)


def restored(writer: Writer, call: Call) -> None:
    """``SessionVFS.restore_snapshot``."""
    given = call.given
    writer.point(
        EventType.VFS_RESTORE,
        call.target.session_id,
        given["agent_did"],
        snapshot_id=given["snapshot_id"],
    )


def write_refused(writer: Writer, call: Call) -> None:
    """``SessionVFS.write`` that raised."""
    _refused(writer, call, "vfs.write")


def delete_refused(writer: Writer, call: Call) -> None:
    """``SessionVFS.delete`` that raised."""
    _refused(writer, call, "vfs.delete")


def read_refused(writer: Writer, call: Call) -> None:
    """``SessionVFS.read`` that raised."""
    _refused(writer, call, "vfs.read")


def _refused(writer: Writer, call: Call, what: str) -> None:
    if not call.raised("VFSPermissionError"):  # a missing file is no decision
        return
    writer.decision(
        call.target.session_id,
        call.given["agent_did"],
        allowed=False,
        tool_name=what,
        seconds=call.seconds,
        reason=str(call.error),
    )
