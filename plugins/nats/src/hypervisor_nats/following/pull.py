"""Messages of a consumer, in the order of the stream, as many as there is room for.

A consumer counts what it hands out. Where the count has a hole, or a message comes a second time,
or the connection was replaced meanwhile, the consumer is recreated behind the last message that
came: so each message comes once and in order, whatever happens on the way.
"""

import asyncio
import contextlib
import json
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from attrs import define, field
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js.errors import NotFoundError

from hypervisor_nats.following.server import Server
from hypervisor_nats.link import CLIENT_ERRORS
from hypervisor_nats.requests import is_delivered
from hypervisor_observability.errors import StreamUnavailableError

GROUP = "owner"
_EXPIRES_SECONDS = 30.0
_HEARTBEAT_SECONDS = 1.0
_SILENCE_SECONDS = 3.0
"""For so long a server says nothing, not even that there is nothing: it has lost the request."""
_LOOK_SECONDS = 0.5
_SHORT_SECONDS = 1.5
_AGAIN_SECONDS = 0.1
_MOST_AGAIN_SECONDS = 2.0
_PIN_HEADER = "Nats-Pin-Id"
_HEARTBEAT, _TIMED_OUT, _NO_MESSAGES, _WRONG_PIN = "100", "408", "404", "423"

_logger = logging.getLogger(__name__)


class _AnewError(Exception):
    """The consumer must be recreated."""


@define(eq=False, kw_only=True)
class Pull:
    """Pulls messages until it is cancelled.

    Attributes:
        server: What is asked.
        config: The consumer's configuration, but for where it begins.
        name: Its name, if it is durable.
        next: Sequence number in the stream from which on messages are wanted.
        take: Takes a message.
        room: Tells how many may come at present.
        is_still_ours: Asked where the server says that another one may have it.
        pending: How many messages of it the server is known to have left.
        count: How many the consumer has handed out.
        consumer: Its name at the server, while there is one.
    """

    server: Server
    config: Mapping[str, Any]
    name: str | None
    next: int
    take: Callable[[Msg, int], None]
    room: Callable[[], int]
    is_still_ours: Callable[[], Awaitable[bool]] | None = None
    pending: int = field(default=0, init=False)
    count: int = field(default=0, init=False)
    consumer: str | None = field(default=None, init=False)
    _asked: int = field(default=0, init=False)
    _heard: float = field(default=0.0, init=False)
    _status: tuple[str, str] | None = field(default=None, init=False)
    _pin: str | None = field(default=None, init=False)
    _broken: bool = field(default=False, init=False)
    _wake: asyncio.Event = field(factory=asyncio.Event, init=False)

    @property
    def _is_pinned(self) -> bool:
        return "priority_groups" in self.config

    @property
    def has_room(self) -> bool:
        """Whether it could ask for messages, and has not."""
        return not self._asked and self.room() > 0

    def wake(self) -> None:
        """Have it look whether there is room, in the loop."""
        self._wake.set()

    async def run(self) -> None:
        """Pull until cancelled, or until it is another's."""
        failures, self._heard = 0, time.monotonic()
        while True:
            came = self.next
            try:
                client = await self.server.client()
                if not await self._goes_on():
                    await self._make()
                await self._pull(client)
            except _AnewError as why:
                _logger.debug("consumer %s is looked at: %s", self.name, why)
            except (*CLIENT_ERRORS, StreamUnavailableError) as error:
                self.server.note_trouble(error, since=self._heard)
            failures = 0 if self.next > came else failures + 1
            await asyncio.sleep(
                min(_MOST_AGAIN_SECONDS, _AGAIN_SECONDS * 2 ** min(failures, 5) / 2)
            )
            with contextlib.suppress(*CLIENT_ERRORS, StreamUnavailableError):
                if self.is_still_ours is not None and not await self.is_still_ours():
                    return

    async def _goes_on(self) -> bool:
        """Tell whether the consumer is there still, and has handed out what came, no more."""
        if self.consumer is None or self._broken or (self._is_pinned and self._pin is None):
            return False
        try:
            handed, left = await delivered_of(self.server, self.consumer, _SHORT_SECONDS)
        except (NotFoundError, TimeoutError):
            return False
        if handed != self.count:
            return False
        self.pending = left
        self._begin()
        return True

    def _begin(self) -> None:
        self._asked, self._broken, self._status = 0, False, None

    async def _make(self) -> None:
        """Make the consumer, in place of one of the same name."""
        stream, self.consumer, self._pin = self.server.link.config.stream, None, None
        config = {
            **self.config,
            "deliver_policy": "by_start_sequence",
            "opt_start_seq": max(1, self.next),
        }
        asked = {"stream_name": stream, "config": config}
        if self.name is None:
            made = await self.server.ask(f"CONSUMER.CREATE.{stream}", asked)
        else:
            # No answer: the server that had it is away. The next one knows that it is deleted.
            with contextlib.suppress(NotFoundError, TimeoutError):
                subject = f"CONSUMER.DELETE.{stream}.{self.name}"
                await self.server.ask(subject, seconds=_SHORT_SECONDS)
            made = await self.server.ask(f"CONSUMER.DURABLE.CREATE.{stream}.{self.name}", asked)
        self.pending, self.count = int(made.get("num_pending", 0)), 0
        self._begin()
        self.consumer = str(made["name"])

    async def _pull(self, client: Client) -> None:
        inbox, reconnects = client.new_inbox(), client.stats["reconnects"]
        subscription = await client.subscribe(
            inbox, cb=self._on, pending_msgs_limit=0, pending_bytes_limit=0
        )
        try:
            while True:
                self._wake.clear()
                if client.stats["reconnects"] != reconnects or not client.is_connected:
                    raise _AnewError("the connection was lost")
                if self._broken:
                    raise _AnewError("messages are missing")
                await self._note_status()
                room = 0 if self._asked else self.room()
                if room > 0:
                    self._asked = room
                    self._heard = time.monotonic()
                    await self._ask(client, inbox, room)
                elif self._asked and time.monotonic() > self._heard + _SILENCE_SECONDS:
                    raise _AnewError("the server does not answer")
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_LOOK_SECONDS):
                        await self._wake.wait()
        finally:
            with contextlib.suppress(*CLIENT_ERRORS):
                await subscription.unsubscribe()

    async def _ask(self, client: Client, inbox: str, room: int) -> None:
        asked: dict[str, Any] = {
            "batch": room,
            "expires": int(_EXPIRES_SECONDS * 1e9),
            "idle_heartbeat": int(_HEARTBEAT_SECONDS * 1e9),
        }
        if self._is_pinned:
            asked["group"] = GROUP
            if self._pin is not None:
                asked["id"] = self._pin
        subject = f"$JS.API.CONSUMER.MSG.NEXT.{self.server.link.config.stream}.{self.consumer}"
        await client.publish(subject, json.dumps(asked).encode(), reply=inbox)

    async def _note_status(self) -> None:
        status, self._status = self._status, None
        if status is None:
            return
        code, text = status
        if code in (_HEARTBEAT, _TIMED_OUT, _NO_MESSAGES):
            return
        if code != _WRONG_PIN:
            raise _AnewError(f"{code} {text}")
        self._broken = True  # a request of a connection that is no more may hold the pin
        raise _AnewError("another request is pinned")

    async def _on(self, message: Msg) -> None:
        headers, self._heard = message.headers, time.monotonic()
        if headers is not None and "Status" in headers and not is_delivered(message):
            if headers["Status"] == _HEARTBEAT:
                return
            self._asked = 0
            self._status = (headers["Status"], headers.get("Description", ""))
            self._wake.set()
            return
        meta = message.metadata
        if self._broken or meta.sequence.consumer != self.count + 1 or meta.num_delivered != 1:
            self._broken = True
            self._wake.set()
            return
        if headers is not None and _PIN_HEADER in headers:
            self._pin = headers[_PIN_HEADER]
        self._asked -= 1
        self.count += 1
        self.pending = meta.num_pending
        self.next = meta.sequence.stream + 1
        self.take(message, meta.sequence.stream)
        if self._asked <= 0:
            self._asked = 0
            self._wake.set()


async def delivered_of(
    server: Server, consumer: str, seconds: float | None = None
) -> tuple[int, int]:
    """Tell of a consumer how many messages it has handed out, and how many are left.

    Args:
        server: What is asked.
        consumer: Its name.
        seconds: Longest time for an answer, in seconds; None: that of the configuration.

    Raises:
        APIError: There is none.
        NatsError: No server answers.
    """
    info = await server.ask(
        f"CONSUMER.INFO.{server.link.config.stream}.{consumer}", seconds=seconds
    )
    return int(info["delivered"]["consumer_seq"]), int(info["num_pending"])
