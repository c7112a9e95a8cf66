"""An OTLP/gRPC receiver that fails as a test says."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ClassVar

import grpc
from attrs import define, field

from hypervisor_observability.testing import Fault, Receiver
from tests.ports import free_port

_WORKERS = 4


@define(eq=False)
class GRPCReceiver(Receiver):
    bodies: list[bytes] = field(factory=list, init=False)
    _server: Any = field(default=None, init=False)
    _workers: Any = field(default=None, init=False)
    _ended: threading.Event = field(factory=threading.Event, init=False)

    faults: ClassVar[frozenset[Fault]] = frozenset(
        {Fault.REFUSED, Fault.SILENT, Fault.ERROR, Fault.UNNAMED}
    )

    def start(self) -> None:
        self.port = self.port or free_port()
        self._ended.clear()
        self._workers = ThreadPoolExecutor(_WORKERS)
        # All of them, now: one that is started later looks as if the plugin had left it.
        all_run = threading.Barrier(_WORKERS + 1)
        for _ in range(_WORKERS):
            self._workers.submit(all_run.wait, 30)
        all_run.wait(30)
        self._server = grpc.server(self._workers, handlers=[_Handlers(self.take)])
        assert self._server.add_insecure_port(f"127.0.0.1:{self.port}")
        self._server.start()

    def stop(self) -> None:
        self._ended.set()
        server, self._server = self._server, None
        if server is not None:
            server.stop(0).wait(30)
            self._workers.shutdown()

    def change(self, fault: Fault | None) -> None:
        before, self.fault = self.fault, fault
        if fault is Fault.REFUSED:
            self.stop()
        elif before is Fault.REFUSED:
            self.start()

    def texts(self) -> Sequence[str]:
        with self.changed:
            return [body.decode("utf-8", "replace") for body in self.bodies]

    def take(self, body: bytes, context: Any) -> bytes:
        with self.changed:
            self.offered += 1
            if self.fault is None:
                self.bodies.append(body)
            self.changed.notify_all()
        if self.fault is Fault.ERROR:
            context.abort(grpc.StatusCode.UNAVAILABLE, "away")
        if self.fault is Fault.SILENT:
            self._ended.wait(30)
        return b""


@define(eq=False)
class _Handlers(grpc.GenericRpcHandler):  # type: ignore[misc]  # its class is Any here
    take: Callable[[bytes, Any], bytes]

    def service(self, handler_call_details: Any) -> Any:
        return grpc.unary_unary_rpc_method_handler(self.take)
