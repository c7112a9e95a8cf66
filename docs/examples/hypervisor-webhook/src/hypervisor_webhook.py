"""A plugin that posts each batch of events to a URL, with coroutines alone."""

import asyncio
import json
from collections.abc import Sequence
from urllib.parse import urlsplit

from attrs import define, field, frozen
from attrs.validators import gt, matches_re

from hypervisor_observability import HypervisorEvent, Reject, RetryLater, hookimpl
from hypervisor_observability.config import Secret


@frozen
class WebhookConfig:
    url: str = field(validator=matches_re(r"https?://[^\s/:]+(:\d+)?(/\S*)?"))
    token: Secret = field(factory=lambda: Secret(""))
    timeout_seconds: float = field(default=5.0, validator=gt(0))


@define(eq=False)
class WebhookPlugin:
    api_version = 1
    Config = WebhookConfig
    config: WebhookConfig

    @hookimpl
    async def export_events(self, events: Sequence[HypervisorEvent]) -> None:
        body = json.dumps([event.to_dict() for event in events]).encode()
        try:
            async with asyncio.timeout(self.config.timeout_seconds):
                status, retry_after = await self._post(body)
        except (OSError, EOFError, ValueError) as error:  # a TimeoutError is an OSError
            raise RetryLater(f"no answer: {type(error).__name__}") from error
        if status in {408, 429} or status >= 500:
            wait = float(retry_after) if retry_after.isdecimal() else None
            raise RetryLater(f"status {status}", after=wait)
        if not 200 <= status < 300:
            raise Reject(f"status {status}")

    async def _post(self, body: bytes) -> tuple[int, str]:
        url = urlsplit(self.config.url)
        target = f"{url.path or '/'}?{url.query}" if url.query else url.path or "/"
        tls = True if url.scheme == "https" else None
        port = url.port or (443 if tls else 80)
        reader, writer = await asyncio.open_connection(url.hostname, port, ssl=tls)
        try:
            head = (
                f"POST {target} HTTP/1.1\r\nHost: {url.netloc}\r\nConnection: close\r\n"
                f"Authorization: Bearer {self.config.token.reveal()}\r\n"
                f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
            )
            writer.write(head.encode() + body)
            answer = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        finally:
            writer.close()
        headers = dict(line.lower().split(": ", 1) for line in answer[1:] if ": " in line)
        return int(answer[0].split()[1]), headers.get("retry-after", "")
