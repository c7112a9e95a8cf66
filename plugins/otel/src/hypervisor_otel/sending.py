"""What every sender of OTLP does, whatever carries its requests: parts, accounts, refusals."""

import logging
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Mapping
from typing import Protocol

from attrs import define, field
from google.protobuf.message import Message

from hypervisor_observability import __version__
from hypervisor_observability.config.secret import Secret
from hypervisor_observability.errors import Reject, RetryLater
from hypervisor_observability.network import Deadline
from hypervisor_observability.text.limited_log import LimitedLog
from hypervisor_otel.answers import Accepted, BrokenOff, TooLarge
from hypervisor_otel.client_tls import TLSFiles
from hypervisor_otel.request import Request
from hypervisor_otel.settled import Settled
from hypervisor_otel.signals import TRACES, Signal
from hypervisor_otel.splitting import split

DEFAULT_MAX_REQUEST_BYTES = 4_000_000
"""A little less than the 4 MiB that gRPC servers take unless told otherwise."""

ENCODING_SECONDS = 1.0
"""Longest time, by a wide margin, for making the requests of a batch."""

_USER_AGENT = f"hypervisor-otel/{__version__}"
# For how long a receiver's limit is believed, which its refusals have shown.
_LIMIT_SECONDS = 600.0
# No smaller limit is concluded from exchanges without an answer: they have other reasons, too.
_LEAST_LEARNT_BYTES = 65_536


class SenderSettings(TLSFiles, Protocol):
    """What a sender reads of a plugin's config class; :class:`OTelConfig` says what it means.

    It reads ``max_request_bytes`` as well, where there is one.
    """

    @property
    def endpoint(self) -> str:
        """URL of an OTLP receiver."""

    @property
    def headers(self) -> Mapping[str, Secret]:
        """Further headers."""

    @property
    def timeout_seconds(self) -> float:
        """Longest time for one call, whatever it takes."""

    @property
    def compression(self) -> str:
        """``none`` or ``gzip``."""

    @property
    def allow_link_local(self) -> bool:
        """Whether link-local addresses may be connected to."""


@define(eq=False)
class PartSender(ABC):
    """Send to one receiver, in as many requests as it takes. For one thread.

    Attributes:
        settings: Where to, and how.
        logger: Where warnings go, at a limited rate.
        signal: What is sent.
        rejected: How many spans, data points or log records the receiver has refused in
            answers that accepted the others, and data points that were too large alone.
        limited_log: Writes to *logger*.
    """

    settings: SenderSettings
    logger: logging.Logger = field(factory=lambda: logging.getLogger("hypervisor_otel"))
    signal: Signal = TRACES
    rejected: int = field(default=0, init=False)
    limited_log: LimitedLog = field(init=False)
    _settled: Settled = field(init=False)
    _told: int = field(default=0, init=False)
    _learnt_bytes: int = field(default=0, init=False)
    _learnt_until: float = field(default=0.0, init=False)

    def __attrs_post_init__(self) -> None:
        self.limited_log = LimitedLog(self.logger.name)
        self._settled = Settled(self.signal.levels)

    @property
    @abstractmethod
    def address(self) -> str:
        """Where requests go, without a query, which may be a secret."""

    @abstractmethod
    def exchange(self, part: Request, deadline: Deadline) -> Accepted:
        """Send one request and give its answer, by *deadline*.

        Raises:
            RetryLater: The receiver could not be reached, did not answer in time, or asked to
                come again.
            TooLarge: It takes no request of that size.
            Reject: It refused the request.
        """

    @property
    def max_request_bytes(self) -> int:
        """Most bytes of a request, before it is compressed, as configured or as learnt."""
        most: int = getattr(self.settings, "max_request_bytes", DEFAULT_MAX_REQUEST_BYTES)
        return min(most, self._learnt_bytes) if time.monotonic() < self._learnt_until else most

    def send(self, request: Message | Request) -> None:
        """Send *request*, be it written already or not; returning means that the receiver has it.

        What is larger than the receiver takes is sent in parts, all within ``timeout_seconds``.
        What was accepted is not sent again when the same batch comes again because of another
        part. Where the receiver refuses some items of several (partial success), that is logged
        and counted in ``rejected``, and so is a data point that is too large alone.

        Raises:
            RetryLater: The receiver could not be reached, did not answer in time or with what
                is no answer, or asked to come again.
            Reject: It refused the request, all its items, or pointed elsewhere.
        """
        deadline = Deadline.after(self.settings.timeout_seconds)
        part = request if isinstance(request, Request) else Request.of(request, self.signal)
        rest, refusal = self._unsettled(part)
        parts = deque([] if rest is None else self._split(rest))
        if self.signal.levels.has_points:
            parts.rotate(-self._told)
        accepted: list[Request] = []
        try:
            while parts:
                if deadline.passed:
                    raise RetryLater(f"{self.late()}: {len(parts)} parts of the batch are left")
                part = parts.popleft()
                try:
                    self._send_part(part, deadline)
                    accepted.append(part)
                except TooLarge as error:
                    if part.count > 1:
                        self._learn(len(part.body) // 2)
                        parts.extendleft(reversed(self._split(part)))
                    else:
                        refusal = self._refused_alone(part, error) or refusal
                except Reject as error:
                    refusal = error
        except RetryLater as error:
            if isinstance(error, BrokenOff) and not accepted:
                self._doubt(len(part.body))
            # Of metrics, what was told may be told again; the next push begins with what was left.
            self._told += len(accepted)
            self._note(accepted)
            raise
        self._told = 0
        if refusal is not None:
            self._note(accepted)
            raise refusal

    def probe(self) -> str:
        """Send a request that holds nothing, and say in a line who took it.

        Raises:
            RetryLater: As for :meth:`send`.
            Reject: As for :meth:`send`.
        """
        self.send(self.signal.empty())
        return f"OTLP at {self.address}"

    def headers(self) -> tuple[dict[str, str], str]:
        """Give the configured headers, and the ``User-Agent``, with one of theirs in front."""
        headers = {name: value.reveal() for name, value in self.settings.headers.items()}
        theirs = [headers.pop(name) for name in list(headers) if name.lower() == "user-agent"]
        return headers, " ".join([*filter(None, theirs), _USER_AGENT])

    def late(self) -> str:
        """Say that the deadline has passed."""
        return f"{self.address} did not answer within {self.settings.timeout_seconds:g} s"

    def _unsettled(self, request: Request) -> tuple[Request | None, Reject | None]:
        if not self._settled.knows_any:
            return request, None
        rest, refusal = self._settled.unsettled(request.message(self.signal))
        return (None if rest is None else Request.of(rest, self.signal)), refusal

    def _split(self, request: Request) -> list[Request]:
        most = self.max_request_bytes
        if len(request.body) <= most:
            return [request]
        parts = split(request.message(self.signal), self.signal.levels, most)
        return [Request.of(part, self.signal) for part in parts]

    def _send_part(self, part: Request, deadline: Deadline) -> None:
        note_answer(self, self.exchange(part, deadline), part.count)

    def _learn(self, most_bytes: int) -> None:
        self._learnt_bytes = max(1, min(self.max_request_bytes, most_bytes))
        self._learnt_until = time.monotonic() + _LIMIT_SECONDS

    def _doubt(self, size: int) -> None:
        """Send less at once than the *size* that got no answer.

        A proxy may cut off what is too large for it, and a slow link may need longer for it than
        there is time: both would happen again and again.
        """
        if size > _LEAST_LEARNT_BYTES:
            self._learn(max(_LEAST_LEARNT_BYTES, size // 2))

    def _refused_alone(self, part: Request, refusal: TooLarge) -> TooLarge | None:
        """Note that the one item of *part* is too large; give the refusal if it is to be raised."""
        if not self.signal.levels.has_points:
            self._settled.note(part.message(self.signal), refusal)
            return refusal
        # The other points of the push are none the worse for it, and the next push has it again.
        self.rejected += 1
        self.limited_log.warning(
            "large", "a data point of %d bytes is left out: %s", len(part.body), refusal
        )
        return None

    def _note(self, accepted: list[Request]) -> None:
        for part in [] if self.signal.levels.has_points else accepted:
            self._settled.note(part.message(self.signal))


def note_answer(sender: PartSender, accepted: Accepted, sent: int) -> None:
    """Count and log what the receiver of *sender* said about a request of *sent* items.

    Raises:
        Reject: It refused all of them.
    """
    address, items = sender.address, sender.signal.items
    reason = accepted.message or "no reason given"
    if accepted.rejected and accepted.rejected >= sent:
        msg = f"{address} refused all {sent} {items}: {reason}"
        raise Reject(msg)
    if accepted.rejected:
        sender.rejected += accepted.rejected
        sender.limited_log.warning(
            "partial", "%s refused %d of %d %s: %s", address, accepted.rejected, sent, items, reason
        )
    elif accepted.message:
        sender.limited_log.warning("said", "%s accepts, and says: %s", address, accepted.message)
    elif not accepted.is_understood:
        sender.limited_log.warning(
            "odd", "%s accepts, but its answer is not that of an OTLP receiver", address
        )
