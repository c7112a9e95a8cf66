"""Hints for the operator of a stream: which events it would refuse, lose or forget."""

import json
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from typing import Any

from hypervisor_nats.config import NatsConfig
from hypervisor_nats.upkeep.amounts import told_bytes
from hypervisor_nats.upkeep.making import Found

LEAST_VERSION = (2, 12)
"""The first release of the server that has all that agents need (``pinned_client``)."""
SYNC_LINE = 'jetstream { store_dir: "/var/lib/nats", sync_interval: always }'
_NO_SYNC = (
    "the server acknowledges events before they are on its disk: a power cut loses up to two"
    f" minutes of them. Put this into its configuration: {SYNC_LINE}"
)
# A record of the journal has two parts of at most 1 MiB each; headers and subject come with them.
_LARGEST_MESSAGE = 2 * 1024 * 1024 + 4096
_MONITOR_SECONDS = 5.0
_MAX_ANSWER_BYTES = 1024 * 1024


def hints(config: NatsConfig, found: Found, stream: Mapping[str, Any]) -> Iterator[str]:
    """Say what to improve on the servers and the stream.

    Args:
        config: How the stream is used.
        found: What the server reports.
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
            "the stream has no limits: it grows until the disk is full, and then accepts nothing"
            " more. Set --max-age or --max-bytes"
        )
    if found.max_payload < config.max_message_bytes + 4096:
        yield (
            f"the server accepts messages of at most {told_bytes(found.max_payload)} (max_payload):"
            f" lower max_message_bytes, which is {config.max_message_bytes}"
        )
    elif found.max_payload < _LARGEST_MESSAGE:
        yield (
            f"an event of more than {told_bytes(found.max_payload)} stays in its journal: the"
            " server refuses it. Set max_payload: 4MB, which suits all events"
        )


def sync_hint(monitor: str | None) -> str | None:
    """Say whether a power cut loses messages that the server acknowledged; None: it does not.

    Args:
        monitor: The server's monitoring port, such as ``http://HOST:8222``; None: it is not known,
            and other ports do not say.
    """
    if monitor is None:
        return (
            "only its monitoring port says whether the server syncs before it acknowledges"
            f" (--monitor http://HOST:8222). It does with this in its configuration: {SYNC_LINE}"
        )
    try:
        config = _asked(monitor.rstrip("/") + "/jsz?config=1").get("config") or {}
    except (OSError, ValueError) as error:
        return f"{monitor} does not say whether the server syncs: {error}"
    return None if config.get("sync_always") else _NO_SYNC


def _asked(address: str) -> dict[str, Any]:
    # Never through a proxy: the server is local to the operator.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(address, timeout=_MONITOR_SECONDS) as answer:
        told = json.loads(answer.read(_MAX_ANSWER_BYTES))
    if not isinstance(told, dict):
        raise ValueError("it is not a NATS server")
    return told


def _version(text: str) -> tuple[int, int]:
    """Return the first two numbers; of any other text, those of the least release that suits."""
    parts = text.split(".")
    if len(parts) > 1 and parts[0].isdecimal() and parts[1].isdecimal():
        return int(parts[0]), int(parts[1])
    return LEAST_VERSION
