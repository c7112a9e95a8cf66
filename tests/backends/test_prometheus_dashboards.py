"""Every question of every panel and alert has an answer on a Prometheus that saw real work.

The work is that of ``hvobs demo``, run as a user runs it. Prometheus scrapes it while it works,
and ``hvobs agent``, which counts what the demonstrations journal. What the demonstration does not
do (use a model, stay elevated) is asked of a process of the test's own.
"""

import math
import re
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from http.server import ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread

import pytest
from attrs import frozen

from hypervisor_observability import Config, HypervisorEvent, Observability, Recorder, hookimpl
from hypervisor_observability.config import BusConfig, UsageConfig
from hypervisor_observability.sources import SourceContext
from hypervisor_prometheus import PrometheusConfig, PrometheusPlugin
from hypervisor_prometheus.alerts import ALERTS, rules_text
from hypervisor_prometheus.dashboards import agents_dashboard, pipeline_dashboard
from hypervisor_prometheus.scraping import Scraped, scrape_config_text
from tests.backends.servers import PrometheusServer
from tests.commands import HVOBS
from tests.configurations import write_config
from tests.http_servers import Handler, serving
from tests.plugins.prometheus.dashboards import questions
from tests.ports import free_ports
from tests.programs import run
from tests.waiting import wait_until

pytestmark = [pytest.mark.backend, pytest.mark.slow]

ARRIVAL_SECONDS = 90
MOST_DEMONSTRATIONS = 20
BEYOND_THE_DEMONSTRATION = {
    "agent_hypervisor_tokens_total",
    "agent_hypervisor_cost_total",
    "agent_hypervisor_cost_estimated_total",
    "agent_hypervisor_handoffs_total",
    "agent_hypervisor_tool_calls_total",
    "agent_hypervisor_model_duration_seconds",
    "agent_hypervisor_ring_elevation_active_seconds",
    "agent_hypervisor_observability_events_dropped_total",
    "agent_hypervisor_observability_source_",
    "agent_hypervisor_observability_nats_",
}
"""What the demonstration does not do: call, hand over, lose events, be elevated for long, be seen
by a source, be one of a fleet.
"""

DOTNET = """\
# TYPE agent_governance_policy_decisions_total counter
agent_governance_policy_decisions_total{decision="allow",agent_id="did:mesh:tester"} 7
# TYPE agent_governance_evaluation_latency_ms_milliseconds histogram
agent_governance_evaluation_latency_ms_milliseconds_bucket{decision="allow",le="5"} 6
agent_governance_evaluation_latency_ms_milliseconds_bucket{decision="allow",le="+Inf"} 7
agent_governance_evaluation_latency_ms_milliseconds_sum{decision="allow"} 12
agent_governance_evaluation_latency_ms_milliseconds_count{decision="allow"} 7
"""
"""As OpenTelemetry's exporter for .NET writes the package's metrics: the unit once more."""


FLEET = "".join(
    f"# TYPE agent_hypervisor_observability_nats_{name} {kind}\n"
    f"agent_hypervisor_observability_nats_{name}{labels} {value}\n"
    for name, kind, labels, value in (
        ("lag_events", "gauge", '{plugin="otel",partition="1"}', 3),
        ("expired_events_total", "counter", '{plugin="otel",partition="1"}', 0),
        ("unverified_events_total", "counter", '{plugin="otel",partition="1"}', 0),
        ("agents", "gauge", "", 1),
        ("partitions", "gauge", "", 1),
        ("shipped_events_total", "counter", "", 100),
        ("unshipped_seconds", "gauge", "", 0),
        ("gone_events_total", "counter", "", 0),
        ("too_large_events_total", "counter", "", 0),
    )
)
"""What an agent of a fleet shows that also sends a journal; all is well."""


class Stuck:
    """A backend that takes nothing until it may, so that events are lost on the way to it."""

    name = "stuck"

    def __init__(self) -> None:
        self.may_go_on = Event()

    @hookimpl
    def export_events(self, events: Sequence[HypervisorEvent]) -> None:
        self.may_go_on.wait(ARRIVAL_SECONDS)


class Stumbling:
    """A source with a callback that raises."""

    name = "stumbling"

    @hookimpl
    def instrument(self, context: SourceContext) -> None:
        context.guarded([].pop)()

    @hookimpl
    def uninstrument(self) -> None:
        """It has changed nothing."""


@contextmanager
def calling(recorder: Recorder) -> Iterator[None]:
    """Do runs that call and hand over again and again, so that it is seen to grow."""
    enough = Event()

    def call() -> None:
        while not enough.wait(0.1):
            with recorder.run("answer"), recorder.tool("search"), recorder.model("small"):
                recorder.handoff("did:mesh:writer", from_agent="did:mesh:root")

    thread = Thread(target=call)
    thread.start()
    try:
        yield
    finally:
        enough.set()
        thread.join()


@contextmanager
def work_beyond_the_demonstration() -> Iterator[int]:
    """Run, call, hand over, lose events and stay elevated; gives the port where that is seen."""
    plugin, stuck = PrometheusPlugin(PrometheusConfig(port=0)), Stuck()
    config = Config(bus=BusConfig(max_events=1_000), usage=UsageConfig(estimate_cost=True))
    with Observability(config, plugins=[plugin, stuck, Stumbling()]) as observability:
        recorder = observability.recorder
        with recorder.session(), recorder.agent("did:mesh:root", ring=3):
            for number in range(5_000):
                recorder.vfs_write(f"file-{number}", content_hash="none")
            with recorder.elevation(3, 0, reason="maintenance", ttl_seconds=600):
                recorder.usage(
                    model="small", input_tokens=10, output_tokens=2, cost=0.01, currency="EUR"
                )
                recorder.usage(model="gpt-4o", provider="openai", input_tokens=1_000)
                with calling(recorder):
                    yield plugin.port
        stuck.may_go_on.set()


@contextmanager
def application(shown: str) -> Iterator[int]:
    """Serve the metrics of an application; gives the port."""

    class Application(Handler):
        def do_GET(self) -> None:
            with suppress(ConnectionError):  # Prometheus is stopped while it scrapes
                self.answer(body=shown.encode(), Content_Type="text/plain; version=0.0.4")

    with serving(ThreadingHTTPServer(("127.0.0.1", 0), Application)) as port:
        yield port


@contextmanager
def agent_process(config: Path) -> Iterator[None]:
    """Run ``hvobs agent``."""
    process = subprocess.Popen(
        [*HVOBS, "agent", "--config", str(config)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def demonstrate(config: Path) -> None:
    """Run ``hvobs demo``."""
    done = run([*HVOBS, "demo", "--config", str(config)], stdin=subprocess.DEVNULL, timeout=120)
    assert done.returncode == 0, done.stderr


@frozen
class Seen:
    """A Prometheus that has seen it all.

    Attributes:
        prometheus: The server.
        since: When the first demonstration began, in seconds since the epoch.
        until: When all had been scraped.
    """

    prometheus: PrometheusServer
    since: float
    until: float

    def answer(self, promql: str, job: str = ".*") -> list[float]:
        """Give all numbers that Grafana would get of a question."""
        for variable, value in {
            "$job": job,
            "$agent": ".*",
            "$__rate_interval": "1m",
            "$__range": "5m",
        }.items():
            promql = promql.replace(variable, value)
        found = self.prometheus.query_range(promql, self.since, self.until)
        numbers = [float(value) for series in found for _, value in series["values"]]
        return [number for number in numbers if math.isfinite(number)]


@pytest.fixture(scope="module")
def seen(
    configure_prometheus: Callable[..., PrometheusServer],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Seen]:
    folder = tmp_path_factory.mktemp("work")
    of_demo, of_agent = free_ports(2)

    def config_file(name: str, port: int, more: str = "") -> Path:
        text = (
            f'[plugins.journal]\ndirectory = "journal"\n[plugins.prometheus]\nport = {port}\n{more}'
        )
        return write_config(text, folder / name)

    agent = config_file("agent.toml", of_agent)
    (folder / "journal").mkdir()
    with ExitStack() as stack:
        # A backend that takes all it gets, for what is told of plugins that send.
        sink = stack.enter_context(socket.socket(type=socket.SOCK_DGRAM))
        sink.bind(("127.0.0.1", 0))
        statsd = f"[plugins.statsd]\nport = {sink.getsockname()[1]}\n"
        demo = config_file("demo.toml", of_demo, statsd)
        stack.enter_context(agent_process(agent))
        of_beyond = stack.enter_context(work_beyond_the_demonstration())
        scraped = Scraped(
            python=[f"127.0.0.1:{port}" for port in (of_demo, of_agent)],
            dotnet=[f"127.0.0.1:{stack.enter_context(application(DOTNET))}"],
            rules=["rules.yml"],
            interval_seconds=1,
        )
        # The demonstration takes less than a second, so it is looked at more often than that.
        config = scrape_config_text(scraped, PrometheusConfig()).replace('"1s"', '"100ms"')
        of_fleet = stack.enter_context(application(FLEET))
        targets = [f"127.0.0.1:{port}" for port in (of_beyond, of_fleet)]
        config += f"  - job_name: beyond\n    static_configs: [{{targets: {targets}}}]\n"
        prometheus = configure_prometheus(config, rules=rules_text())
        # What grows has to be seen before it does.
        zero = 'agent_hypervisor_saga_steps_total{job="agent-hypervisor",status="failed"}'
        wait_until(lambda: prometheus.value(zero) == 0, timeout=ARRIVAL_SECONDS)
        since = time.time()
        trust = f'agent_governance_trust_score{{instance="127.0.0.1:{of_demo}"}} < 1000'
        for number in range(MOST_DEMONSTRATIONS):
            demonstrate(demo)
            if number and prometheus.query_range(trust, since, time.time()):
                break
        wait_until(lambda: (prometheus.value(zero) or 0) >= 4, timeout=ARRIVAL_SECONDS)
        time.sleep(1)  # two more scrapes
        yield Seen(prometheus, since, time.time())


PANELS = [*questions(agents_dashboard()), *questions(pipeline_dashboard())]
# An alert whose question has an answer would be firing: what it compares is asked for.
RULES = [
    re.sub(r" (>|==) [0-9.]+|^absent(?=\()| unless max by .*", "", alert.promql) for alert in ALERTS
]


@pytest.mark.parametrize("promql", [*PANELS, *RULES])
def test_every_question_has_an_answer(seen: Seen, promql: str) -> None:
    beyond = any(name in promql for name in BEYOND_THE_DEMONSTRATION)

    assert seen.answer(promql, ".*" if beyond else "agent-hypervisor") != []


def test_panels_about_work_show_the_work(seen: Seen) -> None:
    """Not just some answer: what grew in the demonstration is seen to grow."""
    grown = [
        promql
        for promql in questions(agents_dashboard())
        if ("rate(" in promql or "increase(" in promql)
        and "tokens" not in promql
        and "cost" not in promql
    ]

    assert len(grown) > 10
    assert [promql for promql in grown if max(seen.answer(promql)) <= 0] == []


def test_values_of_the_variables_are_there(seen: Seen) -> None:
    for board in (agents_dashboard(), pipeline_dashboard()):
        for variable in board["templating"]["list"]:
            if variable["type"] != "query":
                continue
            metric, label = re.findall(r"\w+", variable["definition"])[1:]
            values = seen.prometheus.ask(f"label/{label}/values", **{"match[]": metric})
            assert values, variable["name"]


def test_exemplars_lead_from_panels_to_traces(seen: Seen) -> None:
    found = seen.prometheus.ask(
        "query_exemplars",
        query="agent_hypervisor_ring_breaches_by_agent_total",
        start=seen.since,
        end=seen.until,
    )

    (example, *_) = [one for series in found for one in series["exemplars"]]
    assert re.fullmatch(r"[0-9a-f]{32}", example["labels"]["trace_id"])


def test_python_and_dotnet_join_by_agent(seen: Seen) -> None:
    decided = "sum by (agent_did) (agent_governance_policy_decisions_total)"
    by_job = (
        "sum by (job) (agent_governance_policy_decisions_total"
        '{agent_did="did:mesh:tester",decision="allow"})'
    )

    def jobs() -> set[str]:
        return {series["metric"]["job"] for series in seen.prometheus.query(by_job)}

    # For as long as a scrape is late, what it would bring is gone.
    wait_until(lambda: jobs() == {"agent-hypervisor", "agent-governance"}, timeout=ARRIVAL_SECONDS)
    joined = seen.answer(
        f"{decided} * on (agent_did) sum by (agent_did)"
        " (agent_hypervisor_ring_transitions_by_agent_total)"
    )
    assert joined


def test_latency_of_dotnet_has_the_name_of_pythons(seen: Seen) -> None:
    name = 'agent_governance_evaluation_latency_ms_count{job="agent-governance"}'

    assert seen.prometheus.value(name) == 7
    assert seen.prometheus.query('{__name__=~".+_ms_milliseconds_.+"}') == []


def test_alerts_are_loaded_and_evaluated(seen: Seen) -> None:
    def rules() -> list[dict[str, str]]:
        return [one for group in seen.prometheus.ask("rules")["groups"] for one in group["rules"]]

    def firing() -> set[str]:
        return {rule["name"] for rule in rules() if rule["state"] == "firing"}

    assert len(rules()) == len(RULES)
    assert [rule["name"] for rule in rules() if rule["health"] != "ok"] == []
    # The publisher of the demonstration tries one thing that its ring does not allow. What a late
    # scrape would bring is not there when the rules are looked at, but the next time.
    expected = {"RingBreach", "ObservabilityEventsLost", "ObservabilitySourceFailing"}
    wait_until(lambda: firing() == expected, timeout=ARRIVAL_SECONDS)
