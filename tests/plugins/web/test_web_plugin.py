"""The page over the events of the process that it runs in."""

import json
import logging
import math
import os
import urllib.request
from contextlib import ExitStack
from functools import partial
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from hypervisor_observability import (
    CausalTraceId,
    Config,
    EventType,
    HypervisorEvent,
    Observability,
)
from hypervisor_observability.config import Secret
from hypervisor_observability.testing.plugin_contexts import context_for
from hypervisor_web import WebConfig, WebPlugin
from tests.http_client import ask
from tests.ports import free_port
from tests.waiting import wait_until

TOKEN = "token-of-the-tests-0123456789"


def observed(**table: Any) -> Observability:
    """Give an observability with the page on a free port."""
    table = {"port": 0, "token": TOKEN, **table}
    return Observability(Config(plugins={"web": table}))


def port_of(observability: Observability) -> int:
    page = observability.plugin("web")
    assert isinstance(page, WebPlugin)
    return page.port


def asked(observability: Observability, path: str) -> Any:
    return asked_at(port_of(observability), path)


def asked_at(port: int, path: str, token: str = TOKEN) -> Any:
    answer = ask(port, path, headers={"Authorization": f"Bearer {token}"})
    assert answer.status == 200, answer.text
    return json.loads(answer.body)


def emit(observability: Observability, *payloads: dict[str, Any], **fields: Any) -> None:
    for payload in payloads:
        event = HypervisorEvent(**{"event_type": EventType.VFS_WRITE, **fields, "payload": payload})
        observability.bus.emit(event)
    assert observability.flush(60)


def test_url_has_the_token_and_the_log_has_not(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    with observed() as observability:
        url = urlsplit(observability.plugin("web").url)
        assert parse_qs(url.fragment) == {"token": [TOKEN]}
        assert f"the page is at http://127.0.0.1:{url.port}" in caplog.text
        assert TOKEN not in caplog.text


def test_what_is_emitted_is_shown(caplog: pytest.LogCaptureFixture) -> None:
    with observed() as observability:
        emit(observability, {"number": 1}, {"number": 2}, agent_did="did:mesh:a")

        about = asked(observability, "/api/about")
        rows = asked(observability, "/api/rows?filter=--agent+did:mesh:a")["rows"]
        event = asked(observability, f"/api/event?position={rows[1][0]}")

    assert (about["mode"], about["place"]) == ("process", "this process")
    assert [row[9] for row in rows] == ["number=1", "number=2"]
    assert event["event"]["payload"] == {"number": 2}


def test_payload_is_shown_as_the_gate_and_the_policy_leave_it() -> None:
    with observed() as observability:
        emit(observability, {"password": "hunter2", "share": math.nan, "text": "x" * 1_000_000})
        (row,) = asked(observability, "/api/rows?filter=vfs.write")["rows"]
        answer = ask(
            port_of(observability),
            f"/api/event?position={row[0]}",
            headers={"Authorization": f"Bearer {TOKEN}"},
        )
    assert "hunter2" not in answer.text
    assert answer.status == 200
    with observed(payload="none", events=["ring.*"]) as observability:
        emit(observability, {"path": "/tmp/x"})
        emit(observability, {"severity": "high"}, event_type=EventType.RING_BREACH_DETECTED)
        rows = asked(observability, "/api/rows")["rows"]
        event = asked(observability, f"/api/event?position={rows[0][0]}")
    assert [row[2] for row in rows] == ["ring.breach_detected"]
    assert event["event"]["payload"] == {}


def test_stop_ends_the_streams_at_once() -> None:
    with observed() as observability:
        url = f"http://127.0.0.1:{port_of(observability)}/api/live"
        request = urllib.request.Request(url, headers={"Authorization": f"Bearer {TOKEN}"})
        stream = urllib.request.urlopen(request, timeout=60)
        assert json.loads(stream.readline())["t"] == "view"
    with stream:
        kinds = [json.loads(line)["t"] for line in stream]
    assert set(kinds) <= {"rows", "end"}


def test_processes_with_one_configuration_have_a_page_each() -> None:
    with ExitStack() as stack:
        pages = [stack.enter_context(observed(port=9478)) for _ in range(3)]
        ports = [port_of(one) for one in pages]
        for number, one in enumerate(pages):
            emit(one, {"number": number})
        seen = [asked(one, "/api/rows?filter=vfs.write")["rows"] for one in pages]

    assert len(set(ports)) == 3
    assert [[row[9] for row in rows] for rows in seen] == [["number=0"], ["number=1"], ["number=2"]]


def test_port_that_was_chosen_and_is_taken_leaves_the_page_down_and_says_what_to_do() -> None:
    port = free_port()
    with observed(port=port), observed(port=port) as second:
        assert f"127.0.0.1:{port} is in use: set plugins.web.port to" in second.states()["web"]


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_child_of_a_fork_has_a_page_of_its_own_and_leaves_the_parents_alone() -> None:
    with observed() as observability:
        emit(observability, {"of": "parent"})
        told, telling = os.pipe()
        may_end, end = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                os.close(end)
                emit(observability, {"of": "child"})
                os.write(telling, f"{port_of(observability)}\n".encode())
                os.read(may_end, 1)
                observability.stop()
            finally:
                os._exit(0)
        os.close(may_end)
        try:
            port = int(os.read(told, 100))
            rows = asked_at(port, "/api/rows?filter=vfs.write")["rows"]
            assert [row[9] for row in rows] == ["of=child"]
            assert port != port_of(observability)
            emit(observability, {"of": "parent"})
            rows = asked(observability, "/api/rows?filter=vfs.write")["rows"]
            assert [row[9] for row in rows] == ["of=parent", "of=parent"]
        finally:
            os.close(end)
            os.waitpid(child, 0)
            os.close(told)
            os.close(telling)


def test_address_of_a_trace_is_known_while_it_is_served() -> None:
    trace = "0" * 24 + "12345678"
    with observed() as observability:
        urls = observability.trace_urls(trace)
        port = port_of(observability)
    assert urls["web"] == f"http://127.0.0.1:{port}/#/trace/{trace}"
    assert WebPlugin(WebConfig()).trace_url(trace) is None


def test_check_says_where_the_page_can_be_served() -> None:
    context = context_for("web")
    port = free_port()

    assert WebPlugin(WebConfig(port=port)).check(context) == (
        f"the page can be served at http://127.0.0.1:{port}"
    )
    assert "a free port of 127.0.0.1" in WebPlugin(WebConfig(port=0)).check(context)
    with observed(port=port), pytest.raises(OSError, match=r"is in use: set plugins\.web\.port"):
        WebPlugin(WebConfig(port=port)).check(context)


def test_instance_that_takes_over_shows_what_the_one_before_has_seen() -> None:
    context = context_for("web")
    config = WebConfig(port=0, token=Secret(TOKEN))
    first, second = WebPlugin(config), WebPlugin(config)
    first.start(context)
    trace = CausalTraceId().full_id
    write = partial(HypervisorEvent, event_type=EventType.VFS_WRITE, causal_trace_id=trace)
    first.export_events([write()])
    first.stop()
    second.start(context)

    def events() -> int:
        number: int = asked_at(second.port, f"/api/trace?id={trace}")["events"]
        return number

    try:
        # Whoever looks at a trace takes each of its events once, by its number.
        assert events() == 1
        second.export_events([write()])
        assert [row[0] for row in asked_at(second.port, "/api/rows")["rows"]] == [0, 1]
        # A trace that took long to build is answered as it stood for a while.
        wait_until(lambda: events() == 2)
    finally:
        second.stop()


def test_event_that_a_board_cannot_read_is_told_and_costs_no_other() -> None:
    class Broken:
        def take(self, *_: object) -> None:
            raise ZeroDivisionError("no board is perfect")

    with observed() as observability:
        plugin = observability.plugin("web")
        plugin._model.observers.boards.insert(0, Broken())
        emit(observability, {"number": 1}, {"number": 2})
        about = asked(observability, "/api/about")
        rows = asked(observability, "/api/rows?filter=vfs.write")["rows"]

    assert len(rows) == 2
    assert about["notices"] == [
        "Broken cannot read an event, and leaves it out: ZeroDivisionError: no board is perfect"
    ]
