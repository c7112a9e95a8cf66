"""The thread that ships a journal, in a process that emits or in ``hvobs ship``."""

import threading
import time
from pathlib import Path

from attrs import define, field

from hypervisor_nats.config import NatsConfig
from hypervisor_nats.shipping.shipper import Shipper
from hypervisor_nats.shipping.standing import Standing
from hypervisor_observability.threads.forks import Forked
from hypervisor_observability.threads.one_thread import OneThread

_AWAY_SECONDS = 0.5
"""How long the end of a process waits for a server that is away."""
_LOOK_SECONDS = 0.05
_CLOSE_SECONDS = 1.0
_RESERVE_SECONDS = 0.5


@define(eq=False)
class Shipping:
    """Sends a journal in a daemon thread.

    Attributes:
        directory: The journal's.
        config: Where to.
        service: Of the configuration.
        standing: Its state, for others.
    """

    directory: Path
    config: NatsConfig
    service: str
    standing: Standing = field(init=False)
    _shipper: Shipper = field(init=False)
    _thread: OneThread = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._begin()
        _shippings.add(self)

    def _begin(self) -> None:
        self.standing = Standing(self.directory)
        self._shipper = Shipper(config=self.config, service=self.service, standing=self.standing)
        self._thread = OneThread("ship")

    @property
    def caught_up(self) -> threading.Event:
        """Set once everything is sent."""
        return self._shipper.caught_up

    @property
    def place(self) -> str:
        """Where it is sent to, for people."""
        return self._shipper.link.place

    def start(self) -> None:
        """Start the thread, unless it was started before."""
        try:
            self._thread.start(self._shipper.run)
        except RuntimeError as error:
            self.standing.fail(f"the system has no thread for it: {error}")

    def stop(self, timeout: float) -> bool:
        """Send what is left, for *timeout* seconds at most; return whether everything was sent."""
        if not self._thread.started:
            return True
        began = time.monotonic()
        timeout -= min(_RESERVE_SECONDS, timeout / 4)  # so that the rest ends in time
        self._shipper.ask_to_end(timeout)
        while not self._thread.join(_LOOK_SECONDS):
            waited = time.monotonic() - began
            away = not self.standing.connected and self._shipper.link.is_away
            if waited >= timeout or (away and waited >= _AWAY_SECONDS):
                self._shipper.link.close()
                self._thread.join(_CLOSE_SECONDS)
                break
        return self._shipper.drained

    def waiting_of(self, run: str) -> int:
        """Give how many events of a run are known to wait."""
        return self._shipper.waiting_of(run)

    def begin_anew_after_fork(self) -> None:
        """Leave shipping to the parent, in a fork's child."""
        self._shipper.lock.release()
        self._begin()


_shippings = Forked(Shipping.begin_anew_after_fork)
