"""The page of the metrics names every metric, its type and its labels; no other."""

import re
from pathlib import Path

from hypervisor_journal.metrics import journal_metrics
from hypervisor_nats.config import NatsConfig
from hypervisor_nats.following.membership import Membership
from hypervisor_nats.following.metrics import fleet_metrics
from hypervisor_nats.following.rounds import Rounds
from hypervisor_nats.following.server import Server
from hypervisor_nats.following.tenures import Tenures
from hypervisor_nats.link import Link
from hypervisor_nats.shipping.metrics import shipping_metrics
from hypervisor_nats.shipping.standing import Standing
from hypervisor_observability import GovernanceMetrics, HypervisorEventBus, MetricFamily
from hypervisor_observability.host.sources.group import source_families
from hypervisor_observability.host.telemetry import TOTALS, DeliveryMetrics, process_metrics
from hypervisor_observability.metrics.labels import LabelRules
from hypervisor_observability.metrics.meters import Meters
from hypervisor_observability.metrics.series_metrics import series_families
from hypervisor_statsd.traffic import Traffic

ROOT = Path(__file__).parents[2]
ROW = re.compile(r"^\| `(agent_\w+)` \| (\w+) \| ([^|]*) \|", re.MULTILINE)


def all_families() -> list[MetricFamily]:
    instruments = Meters(LabelRules(), lambda: 0).instruments
    counted = instruments.families()
    server = Server(Link(NatsConfig(), "test"))
    rounds = Rounds(server, Membership(1.0), Tenures(server, "test", {}))
    return [
        *counted,
        *GovernanceMetrics(HypervisorEventBus()).gauges(),
        *series_families(counted, instruments),
        *DeliveryMetrics().families(),
        *process_metrics(capacity=1, **dict.fromkeys(TOTALS, 0)),
        *source_families({}, {}),
        *journal_metrics(degraded=False, lost=0, size=0, unsynced_seconds=0, proven_at=None),
        *shipping_metrics(Standing(ROOT)),
        *fleet_metrics(rounds, keeps=False),
    ]


def test_page_lists_every_metric_and_no_other() -> None:
    page = (ROOT / "docs" / "reference" / "metrics.md").read_text("utf-8")
    told = {
        name: (kind, tuple(re.findall(r"`(\w+)`", labels)))
        for name, kind, labels in ROW.findall(page)
    }
    there = {family.name: (family.kind.value, family.label_names) for family in all_families()}

    assert told == there


def test_metrics_on_other_pages_exist() -> None:
    names = {family.name for family in (*all_families(), *Traffic().families())}
    names |= {f"{name}_{part}" for name in names for part in ("bucket", "sum", "count")}
    for page in (*(ROOT / "docs").rglob("*.md"), ROOT / "README.md"):
        text = page.read_text("utf-8")
        for name in re.findall(r"`(agent_(?:hypervisor|governance)_\w*[a-z])`", text):
            assert name in names, f"{page.name}: {name}"
