"""``hvobs jaeger``: open, fetch, compare, export, against a query API that answers as told."""

import json
import socket
import threading
import time
import webbrowser
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from attrs import define, field
from click.testing import Result

from hypervisor_jaeger import trace_document
from hypervisor_jaeger.comparison import compare, has_failed
from hypervisor_jaeger.links import compare_url, wide_trace_id
from hypervisor_jaeger.query_api import QueryAPI, QueryError
from hypervisor_observability import CausalTraceId, HypervisorEventBus, Recorder
from hypervisor_observability.spans.record import FinishedSpan, SpanStatus
from tests.commands import run_hvobs
from tests.http_servers import Handler, serving
from tests.plugins.jaeger.spans import make_span

ONE, OTHER = "a" * 32, "b" * 32


def span(trace_id: str, number: int, **changes: Any) -> FinishedSpan:
    start = {"start_ns": 1_000_000 * number, "end_ns": 1_000_000 * number + 2_500_000}
    given = {"name": "saga.step.build", "trace_id": trace_id, "scope": "step", **start, **changes}
    return make_span(number, **given)


def trace(*spans: FinishedSpan) -> dict[str, Any]:
    found: dict[str, Any] = trace_document({"shop": spans}, {})["data"][0]
    return found


@define(eq=False)
class FakeJaeger:
    """Answers by path; anything else is 404."""

    answers: dict[str, tuple[int, bytes]] = field(factory=dict)
    headers: list[dict[str, str]] = field(factory=list)
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/base"

    def has(self, path: str, data: Any, status: int = 200) -> None:
        body = data if isinstance(data, bytes) else json.dumps({"data": data}).encode()
        self.answers[f"/base{path}"] = (status, body)


@pytest.fixture
def jaeger() -> Iterator[FakeJaeger]:
    fake = FakeJaeger()

    class Answering(Handler):
        def do_GET(self) -> None:
            fake.headers.append(dict(self.headers))
            self.answer(*fake.answers.get(self.path, (404, b"{}")))

    with serving(ThreadingHTTPServer(("127.0.0.1", 0), Answering)) as fake.port:
        yield fake


@pytest.fixture
def run(jaeger: FakeJaeger, tmp_path: Path) -> Callable[..., Result]:
    config = tmp_path / "hypervisor.toml"

    def invoke(*arguments: str, more: str = "") -> Result:
        config.write_text(f'[plugins.jaeger]\nui_url = "{jaeger.url}"\n{more}')
        command = ["jaeger", "--config", str(config), *arguments]
        return run_hvobs(*command, catch_exceptions=False)

    return invoke


Run = Callable[..., Result]


def test_open_shows_the_trace_of_a_causal_id(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []

    def show(url: str) -> bool:
        opened.append(url)
        return len(opened) == 1

    monkeypatch.setattr(webbrowser, "open", show)
    id_ = CausalTraceId().child()
    wide = id_.to_w3c()[0]

    result = run("open", id_.full_id)
    printed = run("open", "--print", id_.trace_id)
    without = run("open", wide)

    assert result.exit_code == printed.exit_code == without.exit_code == 0
    assert opened == [result.stdout.strip()] * 2
    assert result.stdout == printed.stdout == without.stdout
    assert result.stdout.endswith(f"/base/trace/{wide}\n")
    assert "no browser" in without.stderr
    assert not result.stderr


@pytest.mark.parametrize("text", ["", "a/b/c/d", "x y", "0" * 32 + "/1"])
def test_what_is_no_id_is_a_mistake_of_usage(run: Run, text: str) -> None:
    result = run("open", "--print", text)

    assert result.exit_code == 2
    assert "Error" in result.stderr


def test_fetch_writes_the_spans_in_their_order(run: Run, jaeger: FakeJaeger) -> None:
    failed = span(ONE, 1, name="saga.step.\x1b[31mred", status=SpanStatus.ERROR)
    jaeger.has(f"/api/traces/{ONE}", [trace(span(ONE, 2), failed)])

    result = run("fetch", ONE)

    first, second = result.stdout.splitlines()
    assert first.split() == ["2.500", "ms", "failed", r"saga.step.\x1b[31mred"]
    assert second.split() == ["2.500", "ms", "ok", "saga.step.build"]
    assert json.loads(run("fetch", "--json", ONE).stdout)["data"][0]["traceID"] == ONE


def test_export_writes_what_the_user_interface_uploads(
    run: Run, jaeger: FakeJaeger, tmp_path: Path
) -> None:
    jaeger.has(f"/api/traces/{ONE}", [trace(span(ONE, 1))])
    file = tmp_path / "trace.json"

    result = run("export", ONE, str(file))

    assert result.exit_code == 0
    assert json.loads(file.read_text()) == {"data": [trace(span(ONE, 1))]}
    assert file.stat().st_mode & 0o077 == 0
    missing = run("export", ONE, str(tmp_path / "none" / "trace.json"))
    assert missing.exit_code == 1
    assert "cannot be written" in missing.stderr


def test_compare_tells_what_differs_and_where_to_see_it(run: Run, jaeger: FakeJaeger) -> None:
    undone = span(OTHER, 2, name="saga.compensate.build")
    jaeger.has(f"/api/traces/{ONE}", [trace(span(ONE, 1))])
    jaeger.has(f"/api/traces/{OTHER}", [trace(span(OTHER, 1, status=SpanStatus.ERROR), undone)])

    result = run("compare", ONE, OTHER)
    same = run("compare", ONE, ONE)

    assert result.exit_code == 1
    assert result.stdout.splitlines() == [
        "! shop: saga.compensate.build: spans 0 -> 1, failed 0 -> 0, 0.000 -> 2.500 ms",
        "! shop: saga.step.build: spans 1 -> 1, failed 0 -> 1, 2.500 -> 2.500 ms",
        f"{jaeger.url}/trace/{ONE}...{OTHER}",
    ]
    assert same.exit_code == 0
    assert same.stdout.startswith("  shop: saga.step.build")
    shown = json.loads(run("compare", "--json", ONE, OTHER).stdout)
    assert shown["operations"][1] == {
        "service": "shop",
        "operation": "saga.step.build",
        "spans": [1, 1],
        "errors": [0, 1],
        "duration_us": [2500, 2500],
    }


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (404, b"", "has no trace"),
        (200, b'{"data": null}', "has no trace"),
        (200, b'{"data": []}', "has no trace"),
        (500, b"", "answered 500"),
        (302, b"", "answered 302"),
        (200, b"<html>", "otherwise than Jaeger"),
        (200, b"[" * 100_000, "otherwise than Jaeger"),
        (200, b'{"data": "x"}', "otherwise than Jaeger"),
        (200, b'{"data": [1]}', "otherwise than Jaeger"),
        (200, b'{"data": [{"spans": 5}]}', "otherwise than Jaeger"),
    ],
)
def test_what_jaeger_does_not_have_is_told(
    run: Run, jaeger: FakeJaeger, status: int, body: bytes, said: str
) -> None:
    jaeger.has(f"/api/traces/{ONE}", body, status)

    result = run("fetch", ONE)

    assert result.exit_code == 1
    assert said in result.stderr


def test_jaeger_that_is_away_is_told(free_port: int) -> None:
    with pytest.raises(QueryError, match="cannot be asked"):
        QueryAPI(f"http://127.0.0.1:{free_port}").services()
    with pytest.raises(QueryError, match="cannot be asked"):
        QueryAPI(f"https://127.0.0.1:{free_port}").services()


def test_answer_without_end_is_given_up(
    jaeger: FakeJaeger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hypervisor_jaeger.query_api.MAX_ANSWER_BYTES", 100)
    jaeger.has("/api/services", ["x" * 200])

    with pytest.raises(QueryError, match="more than 100 bytes"):
        QueryAPI(jaeger.url).services()


def test_services_and_operations_are_read(jaeger: FakeJaeger) -> None:
    jaeger.has("/api/services", ["shop", "agents"])
    jaeger.has("/api/services/did%3Amesh%3Aa%2Fb/operations", ["saga"])

    api = QueryAPI(jaeger.url)

    assert api.services() == ["agents", "shop"]
    assert api.operations("did:mesh:a/b") == ["saga"]


def test_headers_go_to_the_user_interface_only_where_that_is_asked(
    run: Run, jaeger: FakeJaeger
) -> None:
    jaeger.has(f"/api/traces/{ONE}", [trace(span(ONE, 1))])
    headers = 'headers = { api-key = "hunter2" }\n'

    run("fetch", ONE, more=headers)
    run("fetch", ONE, more=f"{headers}send_headers_to_ui = true\n")

    assert [sent.get("api-key") for sent in jaeger.headers] == [None, "hunter2"]


def test_odd_traces_are_compared_as_far_as_they_go() -> None:
    odd: dict[str, Any] = {
        "processes": {"p1": "x"},
        "spans": [None, {"processID": "p1", "duration": "5", "tags": {"key": "error"}}],
    }

    (row,) = compare(odd, {"spans": None})

    assert (row.service, row.operation, row.spans, row.errors) == ("", "", (1, 0), (0, 0))
    assert has_failed({"tags": [{"key": "error", "value": "true"}]})
    assert not has_failed({"tags": [None, {"key": "error", "value": False}]})


def test_ids_of_every_form_lead_to_one_trace() -> None:
    id_ = CausalTraceId()
    wide = id_.to_w3c()[0]

    assert wide_trace_id(wide) == wide_trace_id(id_.full_id) == wide_trace_id(id_.trace_id) == wide
    assert wide_trace_id(id_.child().full_id) == wide
    assert compare_url(ONE, OTHER) == f"http://127.0.0.1:16686/trace/{ONE}...{OTHER}"


def test_tree_links_to_jaeger(tmp_path: Path) -> None:
    config = tmp_path / "hypervisor.toml"
    config.write_text('[plugins.jaeger]\nui_url = "https://jaeger.example/ui"\n')
    bus = HypervisorEventBus()
    with Recorder(bus).agent("did:mesh:a") as agent:
        pass
    events = tmp_path / "events.jsonl"
    events.write_text("".join(f"{json.dumps(event.to_dict())}\n" for event in bus.query()))

    result = run_hvobs("tree", events, "--links", "--config", config)

    address = f"https://jaeger.example/ui/trace/{agent.trace.to_w3c()[0]}"
    assert result.stdout.splitlines()[-1] == f"jaeger: {address}"


@pytest.mark.fault("O2")
@pytest.mark.parametrize(
    "said",
    [b" ", b"HTTP/1.1 100 Continue\r\n\r\n", b""],
    ids=["a body byte by byte", "go on, for ever", "nothing"],
)
def test_slow_jaeger_is_given_up_at_the_deadline(said: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection, suppress(OSError):
                connection.recv(65_536)
                if said == b" ":
                    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
                for _ in range(400):
                    connection.sendall(said)
                    time.sleep(0.05)

        threading.Thread(target=serve, daemon=True).start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        began = time.monotonic()

        with pytest.raises(QueryError, match=r"no whole answer within 0\.5 s"):
            QueryAPI(url, timeout_seconds=0.5).trace(ONE)

    assert time.monotonic() - began < 15


def test_host_of_several_addresses_is_asked_at_each(
    jaeger: FakeJaeger, black_hole: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    jaeger.has("/api/services", ["shop"])
    rows = [
        (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))
        for port in (black_hole, jaeger.port)
    ]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: rows)

    assert QueryAPI("http://jaeger.example/base", timeout_seconds=5.0).services() == ["shop"]


@pytest.mark.usefixtures("silent_name_server")
def test_host_that_nobody_tells_the_address_of_is_given_up() -> None:
    with pytest.raises(QueryError, match=r"no answer within 0\.4 s to where silent\.example is"):
        QueryAPI("http://silent.example", timeout_seconds=0.5).services()


@pytest.mark.parametrize("key", ["ca_file", "cert_file"])
def test_file_of_tls_that_cannot_be_used_is_told_by_its_key_and_path(
    tmp_path: Path, key: str
) -> None:
    missing, odd = tmp_path / "missing.pem", tmp_path / "odd.pem"
    odd.write_text("no certificate")
    for file in (missing, odd):
        api = (
            QueryAPI("https://127.0.0.1:1", ca_file=file)
            if key == "ca_file"
            else QueryAPI("https://127.0.0.1:1", cert_file=file, key_file=file)
        )

        with pytest.raises(QueryError, match=f"{key}.*{file.name}"):
            api.services()
