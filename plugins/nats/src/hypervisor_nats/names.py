"""Names in the stream: subjects, partitions, headers.

An event's subject is ``SUBJECT.SERVICE.PARTITION.RUN``: who wants the events of one service, one
partition or one run names it alone. ``docs/reference/nats.md`` describes the format.
"""

import re
import zlib

PARTITIONS_KEY = "hv.partitions"
"""Key of the stream's metadata with the number of partitions."""
FORMAT_KEY = "hv.format"
"""Key of the stream's metadata with the version of the format of its messages."""
FORMAT = "1"
DEFAULT_PARTITIONS = 8

MAX_SERVICE_CHARACTERS = 128
"""Most characters of a subject that a service's name takes; what is longer is cut. A server closes
the connection of whoever names a subject beyond its control line (4,096 bytes by default)."""

_OTHERS = re.compile(r"[^A-Za-z0-9_-]")
_ESCAPED = re.compile(r"(?:=[0-9A-F]{2})+")
_CUT_OFF = re.compile(r"=[0-9A-F]?\Z")


def token_of(text: str) -> str:
    """Write *text* as one token of a subject, or of a key: other bytes than letters, digits,
    ``-`` and ``_`` as ``=XX``; an empty text as ``=``.
    """
    return (
        _OTHERS.sub(lambda found: "".join(f"={byte:02X}" for byte in found[0].encode()), text)
        or "="
    )


def text_of(token: str) -> str:
    """Read what ``token_of`` wrote; bytes that are no UTF-8 are replaced."""
    if token == "=":
        return ""
    return _ESCAPED.sub(
        lambda found: bytes.fromhex(found[0].replace("=", "")).decode(errors="replace"), token
    )


def partition_of(run: str, partitions: int) -> int:
    """Give the partition of a run: CRC-32 (as in zlib) of its name, modulo *partitions*."""
    return zlib.crc32(run.encode()) % partitions


def subject_of(prefix: str, service: str, run: str, partitions: int) -> str:
    """Give the subject of a run's messages."""
    token = token_of(service)
    if len(token) > MAX_SERVICE_CHARACTERS:
        token = _CUT_OFF.sub("", token[:MAX_SERVICE_CHARACTERS])
    return f"{prefix}.{token}.{partition_of(run, partitions)}.{token_of(run)}"


def subjects_of_partition(prefix: str, partition: int) -> str:
    """Give the filter for the messages of a partition."""
    return f"{prefix}.*.{partition}.*"


def subjects_of_run(prefix: str, run: str) -> str:
    """Give the filter for the messages of a run."""
    return f"{prefix}.*.*.{token_of(run)}"
