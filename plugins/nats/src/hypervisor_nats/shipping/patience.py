"""Asking a cluster again that has no leader at the moment: it answers nobody, but soon has one.

What is asked may be asked again: a message that is sent names the one before it, so that the server
takes it once.
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
    """Do *action*, again while nobody answers, for *seconds* at most.

    Args:
        action: What to do; each time a second is given to it.
        seconds: Longest time for all.
        doubt: Asked before it is done again; what that raises ends it.

    Raises:
        NatsError: What it raised last; or it raised something else than that nobody answers.
        TimeoutError: Likewise.
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
