"""What can be set in ``[plugins.journal]``."""

from pathlib import Path

from attrs import field, frozen
from attrs.validators import ge, gt, le, optional

from hypervisor_journal.locks import HAS_LOCKS, NO_LOCKS
from hypervisor_observability.config import (
    DAY_SECONDS,
    NONE_WRITTEN_AS,
    absolute_path,
    optional_absolute_path,
)

_KIB, _MIB = 1024, 1024 * 1024
# Annotated for the validator's type.
_UNBOUNDED: float | None = None
_NO_PATH: Path | None = None


@frozen(kw_only=True)
class JournalConfig:
    """Where and how events are journalled.

    Attributes:
        directory: Of the journal, made where it is missing. Processes may share it.
        segment_bytes: Bytes of a segment, allocated in advance.
        sync_seconds: Longest time until the disk has what was emitted.
        max_bytes: Most bytes of the whole directory; the oldest segments go first.
        max_age_seconds: Longest time that a segment is kept; None for no bound,
            ``"unbounded"`` in TOML.
        anchor_file: Where anchors are kept, best on another disk; None: they are only sent
            through the plugins, as events.
        anchor_key_file: Keys for their HMAC, made with ``hvobs journal key``; None: no HMAC.
        checkpoint_events: Events after which an anchor is made.
        checkpoint_seconds: Time after which one is made, if there was an event.
    """

    directory: Path = field(converter=absolute_path)
    segment_bytes: int = field(default=16 * _MIB, validator=[ge(64 * _KIB), le(64 * _MIB)])
    sync_seconds: float = field(default=0.2, validator=[gt(0), le(60)])
    max_bytes: int = field(default=1024 * _MIB, validator=ge(_MIB))
    max_age_seconds: float | None = field(
        default=_UNBOUNDED, validator=optional(gt(0)), metadata={NONE_WRITTEN_AS: "unbounded"}
    )
    anchor_file: Path | None = field(default=_NO_PATH, converter=optional_absolute_path)
    anchor_key_file: Path | None = field(default=_NO_PATH, converter=optional_absolute_path)
    checkpoint_events: int = field(default=1_000, validator=ge(1))
    checkpoint_seconds: float = field(default=60.0, validator=[gt(0), le(DAY_SECONDS)])

    def __attrs_post_init__(self) -> None:
        if not HAS_LOCKS:
            raise ValueError(NO_LOCKS)
        if self.max_bytes < 2 * self.segment_bytes:
            msg = f"max_bytes must hold two segments: at least {2 * self.segment_bytes}"
            raise ValueError(msg)
