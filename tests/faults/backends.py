"""What is tried of backends behind OTLP: a bad node, a silent name server, a limit of size."""

import itertools
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from http.server import ThreadingHTTPServer
from typing import Any

from attrs import define, field
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from hypervisor_observability import Config, EventType, Observability
from tests.faults.figure import Figure, within_a_minute
from tests.http_servers import Handler, serving

_END_SECONDS = 120
_NAME = "collector.example"


@define(eq=False)
class _Receiver:
    """Takes OTLP, but what comes over its first connection, or is larger than it takes."""

    limit: int = 1 << 30
    drains_first: bool = False
    connections: Iterator[int] = field(factory=itertools.count)
    taken: list[tuple[str, bytes]] = field(factory=list)
    refused: int = 0
    port: int = 0

    @contextmanager
    def running(self) -> Iterator["_Receiver"]:
        receiver = self

        class Judging(Handler):
            protocol_version = "HTTP/1.1"

            def setup(self) -> None:
                super().setup()
                self.number = next(receiver.connections)

            def do_POST(self) -> None:
                self.answer(receiver.judge(self.path, self.body(), self.number))

        server = ThreadingHTTPServer(("127.0.0.1", 0), Judging)
        server.daemon_threads = True
        with serving(server) as self.port:
            yield self

    def judge(self, path: str, body: bytes, connection: int) -> int:
        if self.drains_first and connection == 0:
            self.refused += 1
            return 503
        if len(body) > self.limit:
            self.refused += 1
            return 413
        self.taken.append((path, body))
        return 200


def _table(host: str, port: int, **more: Any) -> Config:
    endpoint = f"http://{host}:{port}"
    return Config(plugins={"otel": {"endpoint": endpoint, "timeout_seconds": 5.0, **more}})


def _spans(receiver: _Receiver) -> Counter[bytes]:
    return Counter(
        span.span_id
        for path, body in receiver.taken
        if path.endswith("traces")
        for group in ExportTraceServiceRequest.FromString(body).resource_spans
        for span in group.scope_spans[0].spans
    )


def _records(receiver: _Receiver) -> Counter[str]:
    return Counter(
        attribute.value.string_value
        for path, body in receiver.taken
        if path.endswith("logs")
        for group in ExportLogsServiceRequest.FromString(body).resource_logs
        for record in group.scope_logs[0].log_records
        for attribute in record.attributes
        if attribute.key == "agent.hypervisor.event.id"
    )


def nodes(*, quick: bool) -> Iterable[Figure]:
    """Send to a balancer that leads the first connection to a node that is drained."""
    sagas = 100 if quick else 1_000
    with (
        _Receiver(drains_first=True).running() as receiver,
        Observability(_table("127.0.0.1", receiver.port)) as observability,
    ):
        for _ in range(sagas):
            with observability.recorder.saga("work"):
                pass
        observability.flush(_END_SECONDS)
    arrived = _spans(receiver)
    yield Figure(
        fault="O3",
        what=f"{sagas:,} sagas through a balancer whose first connection leads to a node that"
        " answers 503: arrived; requests to that node",
        value=f"{len(arrived):,}; {receiver.refused}",
        goal=f"{sagas:,}; 1",
        holds=len(arrived) == sagas and receiver.refused == 1,
    )


def names(*, quick: bool) -> Iterable[Figure]:
    """Have the name server say nothing for a while."""
    seconds = 10 if quick else 60
    real, silent = socket.getaddrinfo, threading.Event()
    silent.set()
    most_threads = 0

    with _Receiver().running() as receiver:

        def resolve(host: Any, *rest: Any, **more: Any) -> list[Any]:
            if host != _NAME:
                return real(host, *rest, **more)
            if silent.is_set():
                time.sleep(12)
                raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
            return real("127.0.0.1", *rest, **more)

        socket.getaddrinfo = resolve
        try:
            with Observability(_table(_NAME, receiver.port)) as observability:
                began, sagas = time.monotonic(), 0
                while time.monotonic() - began < seconds:
                    with observability.recorder.saga("work"):
                        sagas += 1
                    time.sleep(0.1)
                    looking = [t for t in threading.enumerate() if t.name == "hvobs-lookup"]
                    most_threads = max(most_threads, len(looking))
                silent.clear()
                returned = time.monotonic()
                observability.flush(_END_SECONDS)
                drained = time.monotonic() - returned
                state = observability.states()["otel"]
        finally:
            socket.getaddrinfo = real
    arrived = _spans(receiver)
    yield Figure(
        fault="S5",
        what=f"{sagas:,} sagas while the name server said nothing for {seconds} s: arrived later;"
        " the plugin; threads that a look-up held",
        value=f"{len(arrived):,}; {state}; {most_threads}",
        goal=f"{sagas:,}; running; 1",
        holds=len(arrived) == sagas and state == "running" and most_threads == 1,
    )
    yield within_a_minute("S5", "from its return until all had arrived", drained)


def limits(*, quick: bool) -> Iterable[Figure]:
    """Send all signals to a receiver that takes 64 KiB a request."""
    agents = 200 if quick else 2_000
    limit = 65_536
    signals = ("traces", "metrics", "logs")
    with (
        _Receiver(limit=limit).running() as receiver,
        Observability(_table("127.0.0.1", receiver.port, signals=signals)) as observability,
    ):
        for number in range(agents):
            did = f"did:mesh:department-of-logistics:agent-{number:05d}"
            with observability.recorder.agent(did, ring=3):
                observability.bus.record(
                    EventType.RING_BREACH_DETECTED, agent_did=did, session_id=f"s{number}"
                )
                with observability.recorder.saga("work"):
                    pass
        flushed = observability.flush(_END_SECONDS)
        emitted = observability.bus.emitted
    spans, records = _spans(receiver), _records(receiver)
    pushes = sum(path.endswith("metrics") for path, _ in receiver.taken)
    twice = sum(spans.values()) - len(spans) + sum(records.values()) - len(records)
    missing = 2 * agents - len(spans) + emitted - len(records)
    yield Figure(
        fault="O6",
        what=f"{emitted:,} events as spans and log records, and their metrics, to a receiver that"
        f" takes {limit:,} bytes a request: missing; twice; requests with metrics",
        value=f"{missing:,}; {twice:,}; {pushes:,}",
        goal="0; 0; > 1",
        holds=flushed and missing == twice == 0 and pushes > 1,
    )
