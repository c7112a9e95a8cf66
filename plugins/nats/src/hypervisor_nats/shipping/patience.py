"""Repeats requests to a cluster that has no leader: it does not answer until it has elected one.

It is safe to repeat them: each message names the one before it, so that the server stores it once.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from nats.errors import NoRespondersError
from nats.errors import TimeoutError as NatsTimeoutError
from nats.js.errors import NoStreamResponseError, ServiceUnavailableError

Result = TypeVar("Result")

_TRY_SECONDS = 1.0
_PAUSE_SECONDS = 0.1
_NO_ANSWER = (
    TimeoutError,
    NatsTimeoutError,
    NoRespondersError,
    NoStreamResponseError,
    ServiceUnavailableError,
)


async def patiently(
    action: Callable[[], Awaitable[Result]],
    seconds: float,
    doubt: Callable[[], Awaitable[object]] | None = None,
) -> Result:
    """Do *action*, and repeat it while there is no answer, for *seconds* at most.

    Args:
        action: What to do; each attempt has one second.
        seconds: Longest time for all attempts.
        doubt: Awaited before each repeat; what it raises ends the repeats.

    Raises:
        NatsError: The last attempt failed, or one failed in another way than without an answer.
        TimeoutError: The last attempt had no answer.
    """
    until = time.monotonic() + seconds
    while True:
        try:
            async with asyncio.timeout(min(_TRY_SECONDS, until - time.monotonic())):
                return await action()
        except _NO_ANSWER:
            if time.monotonic() + _PAUSE_SECONDS >= until:
                raise
        await asyncio.sleep(_PAUSE_SECONDS)
        if doubt is not None:
            await doubt()
