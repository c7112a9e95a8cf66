"""Requests of JetStream's API that may be repeated: the one way in which this package sends them.

While a cluster elects the leader of a stream, a request gets no answer, not even later. So no
request waits for the whole time of a call: it is repeated. What distinguishes a message from the
server's status "no more" is what only the server can write, never a header that a publisher could
write as well.

Names, fields and codes are those of the server's API (NATS, ADR-1, ADR-13, ADR-31, ADR-37).
"""

import asyncio
import contextlib
import itertools
import json
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Any

from attrs import define, field, frozen
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import NoRespondersError
from nats.errors import TimeoutError as NatsTimeoutError
from nats.js.api import Header
from nats.js.errors import APIError

from hypervisor_nats.reasons import RefusedError

HEADS_AT_ONCE = 1_000
_TRY_SECONDS = 1.0
"""Time for the first try; each further one has twice as long, for slow servers."""
_AGAIN_SECONDS = 0.1
_CONSUMER_SECONDS = 30
"""Time for which the server keeps a consumer after its last request."""
_SEQUENCE = "Nats-Sequence"
_SUBJECT = "Nats-Subject"
_TIME = "Nats-Time-Stamp"
_BEFORE = "Nats-Last-Sequence"
_PENDING = "Nats-Num-Pending"
_ACKNOWLEDGED_AT = "$JS.ACK."
_NOT_FOUND, _NO_RESPONDERS, _CONSUMER_GONE = "404", "503", "409"
_NOTHING_MORE = ("204", _NOT_FOUND, "408")

GetClient = Callable[[], Awaitable[Client]]


@frozen
class Stored:
    """A message of a stream.

    Attributes:
        sequence: Its number in the stream.
        subject: Its subject.
        time: When the server took it, as the server writes it.
        headers: Its headers, with those of the server.
        data: What it holds; empty where the head alone was asked for.
        pending: How many the server had left behind it.
    """

    sequence: int
    subject: str
    time: str
    headers: Mapping[str, str]
    data: bytes
    pending: int


async def answer(get_client: GetClient, subject: str, asked: object) -> dict[str, Any]:
    """Ask until there is an answer; whoever calls bounds the time.

    Args:
        get_client: Gives a client that is connected.
        subject: What is asked, without ``$JS.API.``.
        asked: How, in plain values; None: there is nothing to say.

    Raises:
        APIError: The server refuses.
        NatsError: No server answers.
    """
    body = b"" if asked is None else json.dumps(asked).encode()
    for seconds in _tries():
        client = await get_client()
        with contextlib.suppress(NatsTimeoutError):
            return values_of(await client.request(f"$JS.API.{subject}", body, timeout=seconds))
    raise AssertionError  # pragma: no cover - tries have no end


def values_of(message: Msg) -> dict[str, Any]:
    """Read an answer.

    Raises:
        APIError: It is a refusal.
    """
    values: dict[str, Any] = json.loads(message.data)
    if "error" in values:
        APIError.from_error(values["error"])
    return values


async def stored(
    get_client: GetClient, stream: str, asked: Mapping[str, Any], *, whole: bool = False
) -> list[Stored]:
    """Give messages of *stream* by a direct get of several; whoever calls bounds the time.

    Args:
        get_client: Gives a client that is connected.
        stream: Its name.
        asked: Which.
        whole: Whether all of them are needed; else those that had come will do where the answer
            breaks off, and at least one.

    Raises:
        NoRespondersError: No server answers for the stream.
        RefusedError: The server refuses.
    """
    subject = f"DIRECT.GET.{stream}"
    for seconds in _tries():
        answered, status = await _batch(
            await get_client(), subject, asked, seconds, _is_stored, most=None
        )
        if status == _NO_RESPONDERS:
            raise NoRespondersError
        found = list(itertools.takewhile(_follows(), map(_stored_of, answered)))
        is_whole = status is not None and len(found) == len(answered)
        if is_whole or (found and not whole):
            return found
    raise AssertionError  # pragma: no cover - tries have no end


@define(eq=False)
class Heads:
    """Reads messages without what they hold, many at once, each one once and in order.

    It uses a consumer in the memory of one server, and recreates it behind the last message that
    came if that server is gone, or a message was lost on the way.

    Attributes:
        get_client: Gives a client that is connected.
        stream: Name of the stream.
        subjects: Those that are wanted.
        next: Number from which on messages are wanted; None: the newest one of each subject, from
            the start again if the consumer is recreated.
        done: Whether all that there were have come.
    """

    get_client: GetClient
    stream: str
    subjects: str
    next: int | None
    done: bool = field(default=False, init=False)
    _consumer: str | None = field(default=None, init=False)
    _count: int = field(default=0, init=False)

    async def more(self) -> list[Stored]:
        """Give those that come next; whoever calls bounds the time.

        Raises:
            NotFoundError: There is no such stream.
            NatsError: No server answers, or it refuses.
        """
        for seconds in _tries():
            if self._consumer is None:
                await self._make()
            asked = {"batch": HEADS_AT_ONCE, "no_wait": True}
            answered, status = await _batch(
                await self.get_client(), f"CONSUMER.MSG.NEXT.{self.stream}.{self._consumer}",
                asked, seconds, is_delivered, most=HEADS_AT_ONCE,
            )  # fmt: skip
            found = self._in_order(answered)
            is_whole = len(found) == len(answered)
            if is_whole and (status in _NOTHING_MORE or len(found) == HEADS_AT_ONCE):
                self.done = status in _NOTHING_MORE or found[-1].pending == 0
                return found
            self._consumer = None
            if found and self.next is not None:
                return found
            await asyncio.sleep(_AGAIN_SECONDS)
        raise AssertionError  # pragma: no cover - tries have no end

    async def close(self) -> None:
        """Have the server remove the consumer, without waiting for that."""
        if self._consumer is not None:
            client = await self.get_client()
            await client.publish(f"$JS.API.CONSUMER.DELETE.{self.stream}.{self._consumer}")

    async def _make(self) -> None:
        begin: dict[str, Any] = {"deliver_policy": "last_per_subject"}
        if self.next is not None:
            begin = {"deliver_policy": "by_start_sequence", "opt_start_seq": max(1, self.next)}
        consumer = {
            **begin,
            "ack_policy": "none",
            "filter_subject": self.subjects,
            "headers_only": True,
            "mem_storage": True,
            "num_replicas": 1,
            "inactive_threshold": _CONSUMER_SECONDS * 1_000_000_000,
        }
        asked = {"stream_name": self.stream, "config": consumer}
        made = await answer(self.get_client, f"CONSUMER.CREATE.{self.stream}", asked)
        self._consumer, self._count = str(made["name"]), 0

    def _in_order(self, answered: Sequence[Msg]) -> list[Stored]:
        """Give what follows what came before; the consumer counts what it hands out."""
        found: list[Stored] = []
        for message in answered:
            meta = message.metadata
            if meta.sequence.consumer != self._count + 1:
                break
            self._count += 1
            number, time = meta.sequence.stream, f"{meta.timestamp:%Y-%m-%dT%H:%M:%S.%fZ}"
            found.append(
                Stored(
                    number, message.subject, time, message.headers or {}, b"", meta.num_pending or 0
                )
            )
            if self.next is not None:
                self.next = number + 1
        return found


async def _batch(
    client: Client,
    subject: str,
    asked: Mapping[str, Any],
    seconds: float,
    is_message: Callable[[Msg], bool],
    *,
    most: int | None,
) -> tuple[list[Msg], str | None]:
    """Give the messages that come in answer, and the server's word that there are no more: None
    where nothing comes for *seconds*, or *most* have come.

    Raises:
        RefusedError: It says something else.
    """
    inbox = client.new_inbox()
    answers = await client.subscribe(inbox, pending_msgs_limit=-1, pending_bytes_limit=-1)
    found: list[Msg] = []
    try:
        await client.publish(f"$JS.API.{subject}", json.dumps(asked).encode(), reply=inbox)
        while most is None or len(found) < most:
            try:
                message = await answers.next_msg(seconds)
            except NatsTimeoutError:
                break
            if not is_message(message):
                return found, _status_of(message)
            found.append(message)
    finally:
        await answers.unsubscribe()
    return found, None


def _status_of(message: Msg) -> str:
    headers = message.headers or {}
    status = headers.get(Header.STATUS, "")
    if status in (*_NOTHING_MORE, _NO_RESPONDERS, _CONSUMER_GONE):
        return status
    raise RefusedError(f"{headers.get(Header.DESCRIPTION)} ({status})")


def _is_stored(message: Msg) -> bool:
    """Tell whether it is a message that was asked for directly: the server writes where it stands
    behind the message's own headers.
    """
    return message.headers is not None and _SEQUENCE in message.headers


def is_delivered(message: Msg) -> bool:
    """Tell whether a consumer hands it out."""
    return message.reply.startswith(_ACKNOWLEDGED_AT)


def _stored_of(message: Msg) -> Stored:
    headers = message.headers or {}
    return Stored(
        int(headers[_SEQUENCE]), headers[_SUBJECT], headers[_TIME], headers, message.data,
        int(headers.get(_PENDING, 0)),
    )  # fmt: skip


def _follows() -> Callable[[Stored], bool]:
    """Tell whether each message is the one that the server sent behind the one before."""
    before = 0

    def follows(message: Stored) -> bool:
        nonlocal before
        said, before_it = int(message.headers.get(_BEFORE, before)), before
        before = message.sequence
        return said == before_it

    return follows


def _tries() -> Iterator[float]:
    seconds = _TRY_SECONDS
    while True:
        yield seconds
        seconds *= 2
