"""A right plugin, which the broken ones differ from: it posts events as JSON."""

import http.client
import json
from collections.abc import Sequence
from typing import Any, ClassVar

from attrs import define, field, frozen

from hypervisor_observability import HypervisorEvent, PluginContext, Reject, RetryLater, hookimpl
from hypervisor_observability.config import Secret
from hypervisor_observability.network import Deadline, Lookup, Routes, connect, dial
from hypervisor_observability.network.deadline_socket import DeadlineSocket


@frozen
class PostConfig:
    host: str = "127.0.0.1"
    port: int = 8080
    token: Secret = field(factory=lambda: Secret("none"))
    timeout_seconds: float = 1.0


@define(eq=False, slots=False)
class PostPlugin:
    config: PostConfig
    _routes: Routes | None = field(default=None, init=False)
    _context: PluginContext | None = field(default=None, init=False)

    Config: ClassVar[Any] = PostConfig

    @hookimpl
    def start(self, context: PluginContext) -> None:
        self._context = context
        self._routes = Routes(Lookup(self.config.host, self.config.port))

    @hookimpl
    def export_events(self, events: Sequence[HypervisorEvent]) -> None:
        self.post(self.body(events))

    @hookimpl
    def stop(self) -> None:
        self._routes = None

    def body(self, events: Sequence[HypervisorEvent]) -> bytes:
        return json.dumps([event.to_dict() for event in events]).encode()

    def post(self, body: bytes) -> None:
        try:
            status, wait = self.answer(body)
        except (OSError, http.client.HTTPException) as error:
            raise RetryLater(f"{self.config.host}: {type(error).__name__}") from error
        self.judge(status, wait)

    def judge(self, status: int, wait: str | None) -> None:
        if status >= 500 or status == 429:
            raise RetryLater(f"answered {status}", after=float(wait) if wait else None)
        if status >= 300:
            raise Reject(f"answered {status}")

    def answer(self, body: bytes) -> tuple[int, str | None]:
        assert self._routes is not None
        deadline = Deadline.after(self.config.timeout_seconds)
        _, plain = dial(self._routes, deadline, connect)
        connection = http.client.HTTPConnection(self.config.host)
        connection.sock = DeadlineSocket(plain, deadline)
        try:
            connection.request("POST", "/events", body, self.headers())
            answer = connection.getresponse()
            answer.read()
            return answer.status, answer.getheader("Retry-After")
        finally:
            connection.close()

    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.config.token.reveal()}"}
