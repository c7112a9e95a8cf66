"""JetStream requests for which the client has no call, or one that lacks what is needed here.

Names, fields and codes are those of the server's API (NATS, ADR-2, ADR-8, ADR-31, ADR-42).
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from attrs import define, field, frozen
from nats.aio.client import Client
from nats.js.errors import APIError

from hypervisor_nats.following.trouble import Trouble
from hypervisor_nats.link import Link
from hypervisor_nats.requests import Stored, answer, stored, values_of

_EXPECTED_HEADER = "Nats-Expected-Last-Subject-Sequence"
_OPERATION_HEADER = "KV-Operation"
_WRONG_LAST_SEQUENCE = (10071, 10164)
_KEYS_AT_ONCE = 500
"""A server answers a direct get of several with at most 1,024 messages (NATS, ADR-31)."""


class FencedError(Exception):
    """Another agent has written the key since it was read."""


@frozen
class Found:
    """What a bucket has under a key.

    Attributes:
        key: The key.
        revision: Number of the message that holds it.
        time: When the server took it, as the server writes it: RFC 3339, in UTC.
        data: The value; None where the key was deleted.
    """

    key: str
    revision: int
    time: str
    data: bytes | None


@define(eq=False)
class Server:
    """What readers ask of the server, in the loop of a link.

    Attributes:
        link: The connection.
        trouble: What keeps it from being asked.
    """

    link: Link
    trouble: Trouble = field(init=False)
    _client: Client | None = field(default=None, init=False)

    def __attrs_post_init__(self) -> None:
        self.trouble = Trouble(self.link)

    def note_trouble(self, error: Exception, *, since: float) -> None:
        """Report what keeps failing while the server is connected.

        Args:
            error: What was raised.
            since: Of ``time.monotonic()``, when all was well.
        """
        if self.is_connected:
            self.trouble.note(error, since=since)

    async def client(self) -> Client:
        """Give a client that is connected.

        Raises:
            NatsError: No server answers, or it refuses.
            TimeoutError: None has answered in time.
        """
        async with asyncio.timeout(self.timeout):
            self._client = client = await self.link.client()
            return client

    @property
    def is_connected(self) -> bool:
        """Whether the server is connected, as far as is known."""
        return self._client is not None and self._client.is_connected

    @property
    def timeout(self) -> float:
        """Longest time for an answer, in seconds."""
        return self.link.config.timeout_seconds

    async def ask(
        self,
        subject: str,
        payload: Mapping[str, Any] | None = None,
        *,
        seconds: float | None = None,
    ) -> dict[str, Any]:
        """Ask JetStream's API.

        Args:
            subject: What comes behind the API's prefix.
            payload: What is asked.
            seconds: Longest time for an answer, in seconds; None: that of the configuration.

        Raises:
            APIError: It refuses.
            NatsError: No server answers.
        """
        async with asyncio.timeout(self.timeout if seconds is None else seconds):
            return await answer(self.client, subject, payload)

    async def put(self, key: str, value: bytes, last: int | None = None) -> int:
        """Write *value* under *key* of the bucket, and give its revision.

        Args:
            key: The key.
            value: The value.
            last: The revision that it must have; 0: the key must not exist; None: any.

        Raises:
            FencedError: It has another one.
            APIError: The server refuses for another reason.
            NatsError: No server answers, or there is no bucket.
        """
        client = await self.client()
        headers = None if last is None else {_EXPECTED_HEADER: str(last)}
        told = await client.request(
            f"{self._prefix}{key}", value, timeout=self.timeout, headers=headers
        )
        try:
            return int(values_of(told)["seq"])
        except APIError as error:
            if error.err_code in _WRONG_LAST_SEQUENCE:
                raise FencedError(key) from error
            raise

    async def last_of(self, *keys: str) -> list[Found]:
        """Give what the bucket has under *keys*, all of one moment where they are few.

        Args:
            keys: Which. One with a wildcard must not stand for more than a thousand.

        Raises:
            NatsError: No server answers, or there is no bucket.
        """
        found: list[Found] = []
        for at in range(0, len(keys), _KEYS_AT_ONCE):
            some = keys[at : at + _KEYS_AT_ONCE]
            asked = {"multi_last": [f"{self._prefix}{key}" for key in some]}
            async with asyncio.timeout(self.timeout):
                messages = await stored(
                    self.client, f"KV_{self.link.config.bucket}", asked, whole=True
                )
            found += map(self._found, messages)
        return found

    def _found(self, message: Stored) -> Found:
        return Found(
            message.subject.removeprefix(self._prefix),
            message.sequence,
            message.time,
            None if _OPERATION_HEADER in message.headers else message.data,
        )

    async def remove(self, keys: str) -> None:
        """Remove what the bucket has under *keys*, without a trace."""
        await self.ask(
            f"STREAM.PURGE.KV_{self.link.config.bucket}", {"filter": f"{self._prefix}{keys}"}
        )

    async def keys(self, filter_: str) -> Sequence[str]:
        """Give the keys that match *filter_*."""
        asked = {"subjects_filter": f"{self._prefix}{filter_}"}
        info = await self.ask(f"STREAM.INFO.KV_{self.link.config.bucket}", asked)
        subjects = info["state"].get("subjects") or {}
        return [subject.removeprefix(self._prefix) for subject in subjects]

    @property
    def _prefix(self) -> str:
        return f"$KV.{self.link.config.bucket}."
