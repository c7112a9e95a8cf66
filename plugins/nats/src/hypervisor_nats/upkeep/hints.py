"""What an operator should know of a stream: what it does not hold, and what holds it badly."""

import json
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from typing import Any

from hypervisor_nats.config import NatsConfig
from hypervisor_nats.upkeep.amounts import told_bytes
from hypervisor_nats.upkeep.making import Found

LEAST_VERSION = (2, 12)
"""The first release of the server that has all that is asked of it (``pinned_client``)."""
SYNC_LINE = 'jetstream { store_dir: "/var/lib/nats", sync_interval: always }'
_NO_SYNC = (
    "it acknowledges what its disk does not have yet: a power cut loses up to two minutes of"
    f" events that were said to be safe. Put this into its configuration: {SYNC_LINE}"
)
# A record of the journal has two parts of at most 1 MiB each; headers and subject come with them.
_LARGEST_MESSAGE = 2 * 1024 * 1024 + 4096
_MONITOR_SECONDS = 5.0
_MAX_ANSWER_BYTES = 1024 * 1024


def hints(config: NatsConfig, found: Found, stream: Mapping[str, Any]) -> Iterator[str]:
    """Say what of the servers and the stream is worth a look.

    Args:
        config: How the stream is used.
        found: What the server says of itself.
        stream: Settings of the stream, as they are or will be.
    """
    if _version(found.version) < LEAST_VERSION:
        least = ".".join(map(str, LEAST_VERSION))
        yield f"the server is release {found.version}: agents need {least} or later"
    if stream.get("num_replicas", 1) == 1:
        yield (
            "one server holds the stream alone: while it is away nothing is read, and with its"
            " disk all is lost. Three servers, and --replicas 3, outlive one"
        )
    if stream.get("max_age", 0) <= 0 and stream.get("max_bytes", -1) <= 0:
        yield (
            "nothing bounds the stream: it grows until the disk is full, and then takes nothing"
            " more. Set --max-age or --max-bytes"
        )
    if found.max_payload < config.max_message_bytes + 4096:
        yield (
            f"the server takes messages of at most {told_bytes(found.max_payload)} (max_payload):"
            f" lower max_message_bytes, which is {config.max_message_bytes}"
        )
    elif found.max_payload < _LARGEST_MESSAGE:
        yield (
            f"an event of more than {told_bytes(found.max_payload)} stays in its journal: the"
            " server takes no larger message. max_payload: 4MB takes all of them"
        )


def sync_hint(monitor: str | None) -> str | None:
    """Say whether a server loses acknowledged messages with a power cut; None: it does not.

    Args:
        monitor: Where the server tells of itself over HTTP, such as ``http://HOST:8222``; None: it
            is not known, and clients are not told.
    """
    if monitor is None:
        return (
            "whether the server syncs before it acknowledges, only its monitoring port says"
            f" (--monitor http://HOST:8222). It does with this in its configuration: {SYNC_LINE}"
        )
    try:
        config = _asked(monitor.rstrip("/") + "/jsz?config=1").get("config") or {}
    except (OSError, ValueError) as error:
        return f"{monitor} does not say whether the server syncs: {error}"
    return None if config.get("sync_always") else _NO_SYNC


def _asked(address: str) -> dict[str, Any]:
    # Past any proxy: the server is one's own.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(address, timeout=_MONITOR_SECONDS) as answer:
        told = json.loads(answer.read(_MAX_ANSWER_BYTES))
    if not isinstance(told, dict):
        raise ValueError("that is not NATS")
    return told


def _version(text: str) -> tuple[int, int]:
    """Give the first two numbers; those of a release to come where there are none."""
    parts = text.split(".")
    if len(parts) > 1 and parts[0].isdecimal() and parts[1].isdecimal():
        return int(parts[0]), int(parts[1])
    return LEAST_VERSION
