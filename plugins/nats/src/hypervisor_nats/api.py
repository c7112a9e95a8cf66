"""Requests to JetStream as its server reads them: with every field, known to the client or not."""

import json
from collections.abc import Mapping
from typing import Any

from nats.aio.client import Client
from nats.js.errors import APIError


async def ask(
    client: Client, what: str, body: Mapping[str, Any] | None = None, *, seconds: float = 5.0
) -> dict[str, Any]:
    """Ask JetStream for *what*, such as ``STREAM.INFO.NAME``; give its answer.

    Raises:
        APIError: It refuses; ``err_code`` says why (server/errors.json of NATS).
        NatsError: Nobody answers.
    """
    request = b"" if body is None else json.dumps(body).encode()
    message = await client.request(f"$JS.API.{what}", request, timeout=seconds)
    answer: dict[str, Any] = json.loads(message.data)
    if "error" in answer:
        APIError.from_error(answer["error"])  # raises that kind of error
    return answer
