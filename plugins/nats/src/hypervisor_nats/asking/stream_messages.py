"""Messages of the stream, for whoever asks: their heads one behind the other, their records as
they are wanted.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from attrs import define
from nats.errors import NoRespondersError
from nats.js.errors import NotFoundError

from hypervisor_nats.link import Link
from hypervisor_nats.reasons import RefusedError
from hypervisor_nats.requests import Heads, Stored, answer, stored
from hypervisor_nats.stream_state import StreamState, state_values
from hypervisor_observability.errors import StreamUnavailableError

Result = TypeVar("Result")

_MESSAGES_AT_ONCE = 64
_BYTES_AT_ONCE = 4 * 1024 * 1024
_CLOSE_SECONDS = 1.0


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

    def heads(self, start: int) -> Iterator[list[Stored]]:
        """Give all messages from number *start* on, without their records, many at once."""
        config = self.link.config
        heads = Heads(self.link.client, config.stream, f"{config.subject}.>", start)
        try:
            while not heads.done:
                found = self._ask(lambda: _unless_missing(heads.more()))
                if found is None:
                    return
                if found:
                    yield found
        finally:
            with contextlib.suppress(StreamUnavailableError):  # the server removes it itself
                self.link.call(lambda _: heads.close(), _CLOSE_SECONDS)

    def fetch(self, subject: str, sequences: Sequence[int]) -> list[Stored | None]:
        """Give the messages with these numbers; None for one that has gone.

        Args:
            subject: Under which most of them came.
            sequences: Their numbers, the least one first.
        """
        return self._ask(lambda: self._get_all(subject, sequences))

    def behind(self, sequence: int, subjects: str | None = None) -> list[Stored]:
        """Give the messages that come behind number *sequence*: some, where there are many.

        Args:
            sequence: The number.
            subjects: Only those of these subjects; None: all that are ours.
        """
        wanted = subjects or f"{self.link.config.subject}.>"

        async def get() -> list[Stored]:
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
        asked = answer(self.link.client, f"STREAM.INFO.{self.link.config.stream}", {})
        info = await _unless_missing(asked)
        return None if info is None else StreamState(**state_values(info))

    async def _get(self, sequence: int) -> Stored | None:
        found = await self._stored({"seq": sequence, "batch": 1})
        return found[0] if found and found[0].sequence == sequence else None

    async def _get_all(self, subject: str, sequences: Sequence[int]) -> list[Stored | None]:
        found: dict[int, Stored | None] = {}
        if len(sequences) > 1:  # in a third of the time that it takes to ask for each
            some = await self._get_some(subject, sequences[0], len(sequences))
            found = {message.sequence: message for message in some}
        others = [one for one in sequences if one not in found]
        found.update(zip(others, await asyncio.gather(*map(self._get, others)), strict=True))
        return [found[one] for one in sequences]

    async def _get_some(self, subject: str, start: int, most: int) -> list[Stored]:
        asked = {
            "seq": start,
            "batch": most,
            "max_bytes": _BYTES_AT_ONCE,
            "next_by_subj": subject,
        }
        return await self._stored(asked)

    async def _stored(self, asked: Mapping[str, Any]) -> list[Stored]:
        try:
            return await stored(self.link.client, self.link.config.stream, asked)
        except NoRespondersError:
            raise _NobodyError from None

    # Around the loop

    def _ask(self, action: Callable[[], Coroutine[Any, Any, Result]]) -> Result:
        try:
            return self.link.call(lambda _: action())
        except StreamUnavailableError as error:
            raise StreamAwayError(str(error)) from error


async def _unless_missing(asked: Awaitable[Result]) -> Result | None:
    """Give an answer; None: there is no such stream."""
    try:
        return await asked
    except NotFoundError:
        return None
