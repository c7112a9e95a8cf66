"""The connection to the servers: an event loop in a thread of its own, asked by other threads."""

import asyncio
import contextlib
import ssl
import threading
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

import nats
from attrs import define, field
from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.js.client import JetStreamContext

from hypervisor_nats.config import NatsConfig
from hypervisor_observability.errors import StreamUnavailableError

Result = TypeVar("Result")

_RECONNECT_SECONDS = 0.25
_CLOSE_SECONDS = 2.0
CLIENT_ERRORS = (NatsError, OSError, TimeoutError, asyncio.TimeoutError, ssl.SSLError)
"""What the client raises where a server is away, or refuses."""


@define(eq=False)
class Link:
    """A connection, made with the first call, and again whenever it is lost.

    Attributes:
        config: Where to, and as whom.
        name: Of the client, as the servers show it.
    """

    config: NatsConfig
    name: str
    _loop: asyncio.AbstractEventLoop | None = field(default=None, init=False)
    _thread: threading.Thread | None = field(default=None, init=False)
    _client: Client | None = field(default=None, init=False)
    _connecting: asyncio.Lock | None = field(default=None, init=False)
    _lock: threading.RLock = field(factory=threading.RLock, init=False)

    @property
    def place(self) -> str:
        """The servers and the stream, for people."""
        return f"{','.join(self.config.servers)} stream {self.config.stream}"

    def call(
        self,
        action: Callable[[JetStreamContext], Awaitable[Result]],
        timeout: float | None = None,
    ) -> Result:
        """Have *action* done in the loop; give what it gives.

        Args:
            action: What to do, with a connection that there is.
            timeout: Seconds, that of the configuration where it is None.

        Raises:
            StreamUnavailableError: No server answers, or it refuses.
        """

        async def done() -> Result:
            return await action((await self.client()).jetstream(timeout=seconds))

        seconds = self.config.timeout_seconds if timeout is None else timeout
        try:
            return self.run(done(), seconds)
        except CLIENT_ERRORS as error:
            raise StreamUnavailableError(self.place, _told(error)) from error

    def run(self, coroutine: Coroutine[Any, Any, Result], timeout: float) -> Result:
        """Run *coroutine* in the loop, and wait for it; its errors are raised as they are.

        Raises:
            TimeoutError: It took longer than *timeout* seconds.
        """
        future = asyncio.run_coroutine_threadsafe(coroutine, self.loop)
        try:
            return future.result(timeout)
        except TimeoutError:
            future.cancel()
            raise

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The loop; its thread is started when it is first asked for."""
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(
                    target=self._loop.run_forever, name=f"hvobs-{self.name}", daemon=True
                )
                self._thread.start()
            return self._loop

    async def client(self) -> Client:
        """Give a client that is connected, in the loop.

        Raises:
            NatsError: No server answers, or it refuses.
            OSError: Likewise.
        """
        if self._connecting is None:
            self._connecting = asyncio.Lock()
        async with self._connecting:
            client = self._client
            if client is None or client.is_closed:
                self._client = client = await connect(self.config, self.name)
            return client

    def close(self) -> None:
        """End the connection, and the thread. What is still to be sent is sent, if it can be."""
        with self._lock:
            loop, thread, client = self._loop, self._thread, self._client
            self._loop = self._thread = self._client = self._connecting = None
        if loop is None or thread is None:
            return
        if client is not None:
            with contextlib.suppress(*CLIENT_ERRORS):
                asyncio.run_coroutine_threadsafe(client.close(), loop).result(_CLOSE_SECONDS)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(_CLOSE_SECONDS)
        if not thread.is_alive():
            loop.close()

    def begin_anew_after_fork(self) -> None:
        """Forget the connection, in a fork's child: it is the parent's."""
        self._loop = self._thread = self._client = self._connecting = None
        self._lock = threading.RLock()


async def connect(config: NatsConfig, name: str) -> Client:
    """Connect to one of the servers. A connection that is lost later is made again by itself.

    Raises:
        NatsError: No server answers, or it refuses.
        OSError: Likewise.
    """
    secrets: dict[str, Any] = {}
    if config.credentials_file is not None:
        secrets["user_credentials"] = str(config.credentials_file)
    if config.nkey_file is not None:
        secrets["nkeys_seed"] = str(config.nkey_file)
    if config.token is not None:
        secrets["token"] = config.token.reveal()
    if config.user is not None:
        secrets["user"] = config.user
        secrets["password"] = None if config.password is None else config.password.reveal()
    tls = _tls_of(config)
    if tls is not None:
        secrets["tls"] = tls
    return await asyncio.wait_for(
        nats.connect(
            servers=list(config.servers),
            name=f"hvobs {name}",
            connect_timeout=max(1, round(config.timeout_seconds)),
            reconnect_time_wait=_RECONNECT_SECONDS,
            max_reconnect_attempts=-1,
            error_cb=_pass,
            **secrets,
        ),
        config.timeout_seconds,
    )


def _tls_of(config: NatsConfig) -> ssl.SSLContext | None:
    wanted = config.tls_authority is not None or config.tls_certificate is not None
    if not wanted and not any(server.startswith("tls://") for server in config.servers):
        return None
    context = ssl.create_default_context(cafile=config.tls_authority)
    if config.tls_certificate is not None and config.tls_key is not None:
        context.load_cert_chain(config.tls_certificate, config.tls_key)
    return context


async def _pass(_: Exception) -> None:
    pass  # whoever waits for an answer gets an error of its own


def _told(error: BaseException) -> BaseException | str:
    return str(error) or f"no answer: {type(error).__name__}"
