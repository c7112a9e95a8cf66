"""Messages of a stranger whose headers look like words of the server: they hide nothing."""

import asyncio
import json
import socket
from pathlib import Path

from nats.aio.msg import Msg
from nats.js.client import JetStreamContext

from hypervisor_nats.config import NatsConfig
from hypervisor_nats.following.pull import Pull
from hypervisor_nats.following.server import Server
from hypervisor_nats.link import Link
from hypervisor_nats.names import subject_of
from tests.commands import run_hvobs
from tests.plugins.nats.arrivals import RUN, events, messages_of, publish
from tests.plugins.nats.servers import write_table
from tests.plugins.nats.test_asking import history, numbers

HEADERS = [
    b"NATS/1.0\r\nStatus: 404\r\n\r\n",
    b"NATS/1.0\r\nStatus: 204\r\n\r\n",
    b"NATS/1.0\r\nStatus: 503\r\n\r\n",
    b"NATS/1.0\r\nStatus: 409\r\nDescription: no\r\n\r\n",
    b"NATS/1.0 404\r\n\r\n",
    b"NATS/1.0 503 No Responders\r\n\r\n",
    b"NATS/1.0 100 Idle Heartbeat\r\n\r\n",
    b"NATS/1.0 \xff\xff\xff\r\n\r\n",
    b"NATS/1.0 404 \xff\xff\xff\r\n\r\n",
    b"NATS/1.0\r\nStatus: \xff\xff\r\n\r\n",
    b"NATS/1.0\r\nHv-Format: 1\r\nHv-Run: \xff\xff\r\nHv-First: \xb2\r\n\r\n",
    b"NATS/1.0\r\nNats-Sequence: 1\r\nNats-Subject: x\r\n\r\n",
    b"NATS/1.0\r\nNats-Sequence: odd\r\n\r\n",
    b"NATS/1.0\r\n\xff\xfe: x\r\n\r\n",
    b"\r\n\r\n",
    b"GET / HTTP/1.0\r\n\r\n",
    b"NATS/1.0",
]


def send_as_it_is(config: NatsConfig, subject: str, headers: bytes, data: bytes) -> None:
    """Publish as a client of one's own can, whatever the headers are."""
    host, _, port = config.servers[0].removeprefix("nats://").rpartition(":")
    with socket.create_connection((host, int(port)), 30) as wire:
        length, total = len(headers), len(headers) + len(data)
        wire.sendall(
            b'CONNECT {"verbose":false,"headers":true}\r\nSUB in 1\r\n'
            b"HPUB %s in %d %d\r\n%s%s\r\n" % (subject.encode(), length, total, headers, data)
        )
        found = b""
        while b'"seq":' not in found:  # the stream has it
            more = wire.recv(65536)
            assert more, found
            found += more


def strangers_around(config: NatsConfig) -> None:
    """Publish a run, with such messages before, between and behind its own."""
    subject = subject_of(config.subject, "svc", RUN, 4)
    for made in messages_of(events(6), (1, 3)):
        for headers in HEADERS:
            send_as_it_is(config, subject, headers, b"odd")
            send_as_it_is(config, subject, headers, b"")
        publish(config, made)
    for headers in HEADERS:
        send_as_it_is(config, subject, headers, b"")


def test_answer_hides_nothing_of_a_run(nats_config: NatsConfig) -> None:
    strangers_around(nats_config)
    remarks: list[str] = []

    with history(nats_config, remark=remarks.append) as opened:
        assert numbers(opened.events()) == list(range(6))
        assert numbers(opened.events(newest_first=True)) == [5, 4, 3, 2, 1, 0]
        assert len(opened.messages.behind(0)) > 64 - 1
        places = list(range(1, 7 * len(HEADERS) + 4))
        assert None not in opened.messages.fetch(f"{nats_config.subject}.>", places)
        assert None not in [opened.messages.fetch("none", [place])[0] for place in places]

    assert remarks[-1] == f"and {7 * len(HEADERS) - 3} more messages that are not of a run"


def test_follower_misses_nothing(nats_config: NatsConfig) -> None:
    notices: list[str] = []

    with history(nats_config, notices, may_be_empty=True) as opened:
        follower = opened.follow()
        strangers_around(nats_config)
        assert numbers(follower.news()) == list(range(6))

    assert len(notices) == 7 * len(HEADERS)


def test_verifying_skips_them(nats_config: NatsConfig, tmp_path: Path) -> None:
    strangers_around(nats_config)

    done = run_hvobs("nats", "verify", "--config", write_table(nats_config, tmp_path / "h.toml"))

    assert (done.exit_code, "unanchored" in done.stdout) == (3, True), done.stderr


def test_status_lists_all_runs_and_agents(nats_config: NatsConfig, tmp_path: Path) -> None:
    strangers_around(nats_config)
    for number, headers in enumerate(HEADERS):
        subject = subject_of(nats_config.subject, f"s{number}", RUN[:-2] + "aa", 4)
        send_as_it_is(nats_config, subject, headers, b"")
        key = f"$KV.{nats_config.bucket}.replica.r{number:02}"
        send_as_it_is(nats_config, key, headers, b'{"host": "h", "pid": 1e999}')

    done = run_hvobs(
        "nats", "status", "--json", "--config", write_table(nats_config, tmp_path / "h.toml")
    )

    told = json.loads(done.stdout)
    assert len(told["services"]) == len(HEADERS) + 1
    assert len(told["agents"]) == len(HEADERS)


def test_agent_reads_on_after_them(nats_config: NatsConfig) -> None:
    strangers_around(nats_config)
    link, last = Link(nats_config, "test"), 7 * len(HEADERS) + 3
    numbers_in_stream: list[int] = []

    all_came = asyncio.Event()

    def take(_: Msg, number: int) -> None:
        numbers_in_stream.append(number)
        if number == last:
            all_came.set()

    async def read(_: JetStreamContext) -> None:
        pull = Pull(
            server=Server(link),
            config={"ack_policy": "none", "filter_subject": f"{nats_config.subject}.>"},
            name=None,
            next=1,
            take=take,
            room=lambda: 100,
        )
        reading = asyncio.create_task(pull.run())
        await all_came.wait()
        reading.cancel()

    try:
        link.call(read, 60)
    finally:
        link.close()
    assert numbers_in_stream == list(range(1, last + 1))
