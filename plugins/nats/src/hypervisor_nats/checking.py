"""``hvobs check``: does the server answer, is the stream there, and is it that of a fleet?"""

from hypervisor_journal.checking import check_journal
from hypervisor_nats.config import NatsConfig
from hypervisor_nats.following.server import Server
from hypervisor_nats.link import Link
from hypervisor_nats.reasons import no_stream
from hypervisor_nats.upkeep.amounts import told_bytes
from hypervisor_nats.upkeep.limits import bucket_changes, obstacles, partitions_of
from hypervisor_nats.upkeep.making import find

_MOST_SECONDS = 3.0
"""Less than ``hvobs check`` waits itself, which would not know why."""


def check_fleet(config: NatsConfig, table: str) -> str:
    """Say in a line what was found.

    Args:
        config: The table.
        table: Its name, for messages.

    Raises:
        StreamUnavailableError: No server answers, or it refuses.
        ValueError: There is no stream, or it cannot be used.
        OSError: No process could keep its journal where the table says.
    """
    told = []
    if config.journal is not None:
        told.append(check_journal(config.journal, f"{table}.journal"))
    link = Link(config, "check")
    try:
        found = link.call(lambda _: find(Server(link)), min(config.timeout_seconds, _MOST_SECONDS))
    finally:
        link.close()
    if found.stream is None:
        raise ValueError(f"{link.place}: {no_stream(config)}")
    problems = obstacles(config, found.stream)
    if found.bucket is None:
        problems.append(
            f"there is no bucket {config.bucket}, in which agents keep how far they are:"
            " 'hvobs nats init' makes it"
        )
    elif bucket_changes(found.bucket, found.stream["num_replicas"]):
        problems.append(
            f"the bucket {config.bucket} is not as the stream: 'hvobs nats init' changes it"
        )
    if problems:
        raise ValueError(f"{link.place}: {'; '.join(problems)}")
    messages, size = found.state.get("messages", 0), found.state.get("bytes", 0)
    told.append(
        f"{link.place}: {messages:,} messages, {told_bytes(size)},"
        f" {partitions_of(found.stream)} partitions, replicas {found.stream['num_replicas']}"
    )
    if config.journal is None:
        told.append(f"for agents and questions: a process that emits needs [{table}.journal], too")
    return "; ".join(told)
