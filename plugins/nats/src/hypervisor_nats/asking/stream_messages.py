"""Messages of the stream, for whoever asks: their heads one behind the other, their records as
they are wanted.
"""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from attrs import define, frozen
from nats.aio.msg import Msg
from nats.errors import NoRespondersError
from nats.errors import TimeoutError as NatsTimeoutError
from nats.js.api import Header
from nats.js.errors import APIError

from hypervisor_nats.link import Link
from hypervisor_nats.reasons import RefusedError
from hypervisor_observability.errors import StreamUnavailableError

Result = TypeVar("Result")

HEADS_AT_ONCE = 1_000
_MESSAGES_AT_ONCE = 64
_TRY_SECONDS = 1.0
_BYTES_AT_ONCE = 4 * 1024 * 1024
_CONSUMER_SECONDS = 30
"""So long after the last request the server keeps a consumer."""
_SEQUENCE = "Nats-Sequence"  # headers of a direct get (NATS, ADR-31)
_SUBJECT = "Nats-Subject"
_NOT_FOUND, _NO_RESPONDERS = "404", "503"
_NOTHING_MORE = ("204", _NOT_FOUND)


@frozen
class StreamMessage:
    """A message as it stands in the stream.

    Attributes:
        sequence: Its number in the stream.
        subject: Its subject.
        headers: Its headers.
        data: Its records; empty where the head alone was asked for.
    """

    sequence: int
    subject: str
    headers: Mapping[str, str]
    data: bytes


@frozen
class StreamState:
    """What the server tells of the stream.

    Attributes:
        created: When it was made, as the server writes it: another stream of the same name was
            made at another time.
        first: Number of its first message.
        last: Number of its last message.
        bytes: What its messages take.
    """

    created: str
    first: int
    last: int
    bytes: int


class StreamAwayError(ConnectionError):
    """The stream cannot be read at present; the text says why, and what to do."""


class _NobodyError(RefusedError):
    """Nobody answers to direct reads of the stream."""

    def __init__(self) -> None:
        super().__init__(
            "no server answers for the stream, or it lacks allow_direct: 'hvobs nats init' says how"
            " to set it"
        )


@define(eq=False)
class StreamMessages:
    """Reads the stream, and changes nothing in it.

    Every method raises ``StreamAwayError`` where no server answers, or it refuses.

    Attributes:
        link: The connection.
    """

    link: Link

    def state(self) -> StreamState | None:
        """Tell of the stream; None: there is none."""
        return self._ask(self._state)

    def heads(self, start: int) -> Iterator[list[StreamMessage]]:
        """Give all messages from number *start* on, without their records, many at once."""
        name = self._ask(lambda: self._make_consumer(start))
        if name is None:
            return
        try:
            more = True
            while more:
                found, more = self._ask(lambda: self._pull(name))
                if found:
                    yield found
        finally:
            with contextlib.suppress(StreamAwayError):  # the server removes it itself
                self._ask(lambda: self._remove_consumer(name))

    def fetch(self, subject: str, sequences: Sequence[int]) -> list[StreamMessage | None]:
        """Give the messages with these numbers; None for one that has gone.

        Args:
            subject: Under which most of them came.
            sequences: Their numbers, the least one first.
        """
        return self._ask(lambda: self._get_all(subject, sequences))

    def behind(self, sequence: int, subjects: str | None = None) -> list[StreamMessage]:
        """Give the messages that come behind number *sequence*: some, where there are many.

        Args:
            sequence: The number.
            subjects: Only those of these subjects; None: all that are ours.
        """
        wanted = subjects or f"{self.link.config.subject}.>"

        async def get() -> list[StreamMessage]:
            try:
                return await self._get_some(wanted, sequence + 1, _MESSAGES_AT_ONCE)
            except _NobodyError:
                if await self._state() is None:
                    return []  # it is still to be made
                raise

        return self._ask(get)

    def close(self) -> None:
        """End the connection."""
        self.link.close()

    # In the loop

    async def _state(self) -> StreamState | None:
        answer = await self._request(f"STREAM.INFO.{self.link.config.stream}", {})
        if answer is None:
            return None
        state = answer["state"]
        return StreamState(
            str(answer["created"]), state["first_seq"], state["last_seq"], state["bytes"]
        )

    async def _make_consumer(self, start: int) -> str | None:
        config = self.link.config
        consumer = {
            "deliver_policy": "by_start_sequence",
            "opt_start_seq": max(1, start),
            "ack_policy": "none",
            "filter_subject": f"{config.subject}.>",
            "headers_only": True,
            "mem_storage": True,
            "num_replicas": 1,
            "inactive_threshold": _CONSUMER_SECONDS * 1_000_000_000,
        }
        asked = {"stream_name": config.stream, "config": consumer}
        answer = await self._request(f"CONSUMER.CREATE.{config.stream}", asked)
        return None if answer is None else str(answer["name"])

    async def _remove_consumer(self, name: str) -> None:
        await self._request(f"CONSUMER.DELETE.{self.link.config.stream}.{name}", {})

    async def _request(self, subject: str, asked: object) -> Any:
        """Ask JetStream; None where there is no such stream, or consumer."""
        values = json.loads((await self._answer(subject, asked)).data)
        error = values.get("error")
        if error is not None and error.get("code") != int(_NOT_FOUND):
            raise APIError(**error)
        return None if error is not None else values

    async def _pull(self, name: str) -> tuple[list[StreamMessage], bool]:
        """Give the next heads, and whether there may be more."""
        subject = f"CONSUMER.MSG.NEXT.{self.link.config.stream}.{name}"
        found: list[StreamMessage] = []
        async for message in self._answers(subject, {"batch": HEADS_AT_ONCE, "no_wait": True}):
            number = message.metadata.sequence.stream
            found.append(StreamMessage(number, message.subject, message.headers or {}, b""))
            if len(found) == HEADS_AT_ONCE:
                return found, True
        return found, False

    async def _get(self, sequence: int) -> StreamMessage | None:
        try:
            subject = f"DIRECT.GET.{self.link.config.stream}"
            answer = await self._answer(subject, {"seq": sequence})
        except NoRespondersError:
            raise _NobodyError from None
        return None if self._status(answer) is not None else _message_of(answer)

    async def _get_all(self, subject: str, sequences: Sequence[int]) -> list[StreamMessage | None]:
        found: dict[int, StreamMessage | None] = {}
        if len(sequences) > 1:  # in a third of the time that it takes to ask for each
            some = await self._get_some(subject, sequences[0], len(sequences))
            found = {message.sequence: message for message in some}
        others = [one for one in sequences if one not in found]
        found.update(zip(others, await asyncio.gather(*map(self._get, others)), strict=True))
        return [found[one] for one in sequences]

    async def _get_some(self, subject: str, start: int, most: int) -> list[StreamMessage]:
        asked = {
            "seq": start,
            "batch": most,
            "max_bytes": _BYTES_AT_ONCE,
            "next_by_subj": subject,
        }
        answers = self._answers(f"DIRECT.GET.{self.link.config.stream}", asked)
        return [_message_of(message) async for message in answers]

    async def _answer(self, subject: str, asked: object) -> Msg:
        """Ask until there is an answer, for as long as a call may take.

        While a cluster chooses who leads the stream, requests get none, not even later.
        """
        body = json.dumps(asked).encode()
        while True:
            client = await self.link.client()
            with contextlib.suppress(NatsTimeoutError):
                return await client.request(f"$JS.API.{subject}", body, timeout=_TRY_SECONDS)

    async def _answers(self, subject: str, asked: object) -> AsyncIterator[Msg]:
        """Give the messages that come in answer, up to the server's word that these are all."""
        client = await self.link.client()
        inbox = client.new_inbox()
        answers = await client.subscribe(inbox, pending_msgs_limit=-1, pending_bytes_limit=-1)
        try:
            await client.publish(f"$JS.API.{subject}", json.dumps(asked).encode(), reply=inbox)
            while True:
                message = await answers.next_msg(self._seconds)
                if self._status(message) is not None:
                    return
                yield message
        finally:
            await answers.unsubscribe()

    @staticmethod
    def _status(answer: Msg) -> str | None:
        """Give the server's word that there is nothing, or nothing more; None: it is a message.

        Raises:
            RefusedError: It says something else.
        """
        status = None if answer.headers is None else answer.headers.get(Header.STATUS)
        if status is None or status in _NOTHING_MORE:
            return status
        if status == _NO_RESPONDERS:
            raise _NobodyError
        raise RefusedError(
            f"{answer.headers and answer.headers.get(Header.DESCRIPTION)} ({status})"
        )

    # Around the loop

    @property
    def _seconds(self) -> float:
        return self.link.config.timeout_seconds

    def _ask(self, action: Callable[[], Coroutine[Any, Any, Result]]) -> Result:
        try:
            return self.link.call(lambda _: action())
        except StreamUnavailableError as error:
            raise StreamAwayError(str(error)) from error


def _message_of(answer: Msg) -> StreamMessage:
    headers = answer.headers or {}
    return StreamMessage(
        int(headers.get(_SEQUENCE, 0)), headers.get(_SUBJECT, ""), headers, answer.data
    )
