"""Applications that run on gevent or uvloop, each in a process of its own."""

import importlib.util
import os
import sys

import pytest

from tests.programs import found_or_skip, run_python

# What both applications use: one plugin that keeps what it gets, and one that hangs.
PLUGINS = """
import socket, threading, urllib.request
from hypervisor_observability import EventType, Observability, hookimpl
from hypervisor_prometheus import PrometheusConfig, PrometheusPlugin
from hypervisor_statsd import StatsDConfig, StatsDPlugin

class Keep:
    name = "keep"

    def __init__(self):
        self.seen, self.ended = [], []

    @hookimpl
    def export_events(self, events):
        self.seen += [event.event_id for event in events]

    @hookimpl
    def stop(self):
        self.ended.append(True)

class Hang:
    name = "hang"

    def __init__(self):
        self.go_on = threading.Event()

    @hookimpl
    def export_events(self, events):
        self.go_on.wait(60)

server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind(("127.0.0.1", 0))
server.settimeout(30)
statsd = StatsDPlugin(StatsDConfig(host="localhost", port=server.getsockname()[1]))
prometheus = PrometheusPlugin(PrometheusConfig(port=0))
keep, hang = Keep(), Hang()
observability = Observability(plugins=[keep, statsd, prometheus])

def record(worker, number):
    return observability.bus.record(
        EventType.RING_BREACH_DETECTED, agent_did="did:mesh:a", payload={"n": [worker, number]}
    ).event_id

def scrape():
    with urllib.request.urlopen(f"http://127.0.0.1:{prometheus.port}/metrics", timeout=30) as page:
        return page.read().decode()

def tell_what_came(sent):
    told = 0
    while told < len(sent):
        for line in server.recv(65_536).decode().split("\\n"):
            if "ring_breaches_total:" in line:
                told += int(line.partition(":")[2].partition("|")[0])
    counter = 'agent_hypervisor_ring_breaches_total{agent_did="did:mesh:a",session_id="unknown"} '
    scraped = [line for line in scrape().splitlines() if line.startswith(counter)]
    print("kept", len(sent), sorted(keep.seen) == sorted(sent))
    print("scraped", [float(line.rpartition(" ")[2]) for line in scraped])
    print("statsd", told)

def tell_what_hangs():
    with Observability(plugins=[hang]) as other:
        other.bus.record(EventType.SESSION_CREATED)
        print("hung", other.flush(timeout=1), other.counts()["hang"].in_flight)
        hang.go_on.set()
        print("freed", other.flush(timeout=30), other.counts()["hang"].delivered)
"""

GEVENT = f"""
from gevent import monkey
monkey.patch_all()
import gevent
{PLUGINS}
from gevent.threadpool import ThreadPool

turns = 0

def turn():
    global turns
    while True:
        turns += 1
        gevent.sleep(0.001)

def work(worker):
    sent = []
    for number in range(500):
        sent.append(record(worker, number))
        if number % 50 == 0:
            gevent.sleep(0)
    return sent

ticking = gevent.spawn(turn)
with observability:
    workers = [gevent.spawn(work, worker) for worker in range(20)]
    # A thread of the system emits too, as gevent's own pool has them.
    native = ThreadPool(1).spawn(work, 99)
    gevent.joinall(workers, raise_error=True, timeout=60)
    sent = [event_id for worker in workers for event_id in worker.value] + native.get()
    print("flushed", observability.flush(timeout=30))
    tell_what_came(sent)
tell_what_hangs()
print("stopped", keep.ended, turns > 10)
"""

UVLOOP = f"""
import asyncio, uvloop
{PLUGINS}

turns = 0

async def turn():
    global turns
    while True:
        turns += 1
        await asyncio.sleep(0.001)

async def work(worker):
    sent = []
    for number in range(500):
        sent.append(record(worker, number))
        if number % 50 == 0:
            await asyncio.sleep(0)
    return sent

async def main():
    ticking = asyncio.create_task(turn())
    observability.start()
    sent = sum(await asyncio.gather(*(work(worker) for worker in range(21))), [])
    print("flushed", await observability.aflush(timeout=30))
    await asyncio.to_thread(tell_what_came, sent)
    await observability.astop(timeout=30)
    await asyncio.to_thread(tell_what_hangs)
    ticking.cancel()
    print("stopped", keep.ended, turns > 10)

with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
    assert type(runner.get_loop()).__module__.startswith("uvloop")
    runner.run(main())
"""

EXPECTED = """\
flushed True
kept 10500 True
scraped [10500.0]
statsd 10500
hung False 1
freed True 1
stopped [True] True
"""


@pytest.mark.slow
@pytest.mark.fault("C21")
@pytest.mark.parametrize(("library", "program"), [("gevent", GEVENT), ("uvloop", UVLOOP)])
def test_application_on_another_loop_loses_nothing_and_is_not_held_up(
    library: str, program: str
) -> None:
    if sys.version_info >= (3, 14):
        pytest.skip(f"there is no wheel of {library} for this Python")
    found_or_skip(
        library,
        lambda: importlib.util.find_spec(library),
        "It belongs to the group of dependencies that is called test.",
    )

    environment = {**os.environ, "PYTHONFAULTHANDLER": "1"}
    done = run_python(program, flags=("-W", "error"), timeout=200, env=environment)

    assert done.stdout == EXPECTED, done.stderr
    assert done.returncode == 0, done.stderr
