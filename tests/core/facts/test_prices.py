"""The cost of tokens where nobody told it: an estimate, marked as one, the same for all readers."""

import json
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypervisor_observability import Config, EventType, HypervisorEvent, Observability
from hypervisor_observability.config import UsageConfig
from hypervisor_observability.errors import ConfigError
from hypervisor_observability.events.frozen_containers import erased_payload
from hypervisor_observability.facts import prices as prices_module
from hypervisor_observability.facts.prices import CURRENCY, Prices
from hypervisor_observability.facts.usage import Used, names_text, used
from hypervisor_observability.metrics.registry import MetricsRegistry
from hypervisor_observability.report import Findings, report_page
from hypervisor_observability.tree import build_tree, render_tree, tree_to_dict
from tests.commands import run_hvobs
from tests.configurations import write_config

WHEN = datetime(2026, 6, 1, tzinfo=UTC)
P = "agent_hypervisor_"
PRICES = Prices()
VERSION = PRICES.name.removeprefix("genai-prices ")


def usage(trace: str | None = "t/a", **said: Any) -> HypervisorEvent:
    return HypervisorEvent(
        event_type=EventType.of("usage.recorded"),
        agent_did="did:a",
        causal_trace_id=trace,
        timestamp=WHEN,
        payload=said,
    )


def price(model: str, provider: str, read: int, written: int) -> float:
    """Give what the package itself says."""
    import genai_prices

    tokens = genai_prices.Usage(input_tokens=read, output_tokens=written)
    found = genai_prices.calc_price(
        tokens, model, provider_id=provider, genai_request_timestamp=WHEN
    )
    return float(found.total_price)


@pytest.fixture(scope="module")
def gpt() -> float:
    """Give what ``TOKENS`` of ``KNOWN`` cost."""
    return price("gpt-4o", "openai", 1_000, 500)


TOKENS: dict[str, Any] = {"input_tokens": 1_000, "output_tokens": 500}
KNOWN: list[dict[str, str]] = [
    {"model": "gpt-4o"},
    {"model": "GPT-4o", "provider": "openai"},
    {"model": "openai/gpt-4o"},
    {"model": "openai:gpt-4o"},
    {"model": "openai/gpt-4o", "provider": "openai"},
]


@pytest.mark.parametrize("said", KNOWN)
def test_tokens_cost_what_the_package_says_however_the_model_is_named(
    said: dict[str, str], gpt: float
) -> None:
    assert used(usage(**TOKENS, **said), PRICES) == Used(1_000, 500, estimated_cost=gpt)


def test_provider_is_known_as_the_conventions_write_it() -> None:
    found = used(usage(**TOKENS, model="grok-4", provider="x_ai"), PRICES)

    assert found.estimated_cost == price("grok-4", "x-ai", 1_000, 500) > 0


@pytest.mark.parametrize(
    "said",
    [
        {"model": "m-1"},
        {"model": "gpt-4o", "provider": "a server of our own"},
        {"model": "ollama/llama3"},
        {"model": "x" * 1_000},
        {"model": "\ud800"},
        {"model": "/"},
        {},
    ],
)
def test_model_without_a_price_costs_nothing_and_that_is_told(said: dict[str, str]) -> None:
    found = used(usage(**TOKENS, **said), PRICES)

    assert found.estimated_cost == 0
    assert found.without_price == said.get("model", "unknown")


@pytest.mark.parametrize("cost", [0, 0.5, -1, "free"])
def test_cost_that_was_told_is_never_estimated(cost: object) -> None:
    found = used(usage(**TOKENS, model="gpt-4o", cost=cost, currency="EUR"), PRICES)

    assert (found.estimated_cost, found.without_price) == (0, "")


def test_usage_without_tokens_and_erased_usage_are_not_estimated() -> None:
    kind = EventType.of("usage.recorded")

    assert used(usage(model="gpt-4o"), PRICES) == Used()
    assert used(HypervisorEvent(event_type=kind, payload=erased_payload()), PRICES) == Used()


def test_nothing_is_estimated_unless_it_is_asked_for() -> None:
    assert used(usage(**TOKENS, model="gpt-4o")) == Used(1_000, 500)


def test_models_are_looked_up_in_bounded_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prices_module, "MAX_MODELS", 3)
    found = Prices()
    for number in range(10):
        assert found.cost(f"m-{number}", "", 1, 1, WHEN) is None

    assert found.cost("gpt-4o", "openai", 1_000, 500, WHEN) is None
    assert len(found._names) == 3


def test_package_that_cannot_be_imported_or_fails_costs_the_estimates_alone(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken() -> Any:
        raise ImportError("half of it is missing")

    monkeypatch.setattr(prices_module, "_calculation", broken)
    found = Prices()
    for _ in range(2):
        assert found.cost("gpt-4o", "openai", 1, 1, WHEN) is None
    assert [one.message for one in caplog.records] == ["no cost is estimated"]

    monkeypatch.setattr(prices_module, "_calculation", lambda: lambda *_: 1 / 0)
    assert Prices().cost("gpt-4o", "openai", 1, 1, WHEN) is None


def test_prices_that_the_application_fetches_change_no_estimate(
    monkeypatch: pytest.MonkeyPatch, gpt: float
) -> None:
    from genai_prices import data_snapshot

    fetched = data_snapshot.DataSnapshot(providers=[], from_auto_update=True)
    monkeypatch.setattr(data_snapshot, "_custom_snapshot", fetched)

    assert Prices().cost("gpt-4o", "openai", 1_000, 500, WHEN) == gpt


REPORTS = st.lists(
    st.builds(
        lambda said, tokens: usage(**said, **tokens),
        st.sampled_from([*KNOWN, {"model": "m-1"}, {"model": "gpt-4o", "cost": 0.25}]),
        st.fixed_dictionaries({}, optional={"input_tokens": st.integers(0, 10**6)}),
    ),
    max_size=12,
)


@given(REPORTS)
def test_readers_estimate_the_same(events: list[HypervisorEvent]) -> None:
    registry = MetricsRegistry(prices=PRICES)
    registry.observe(events)
    families = {one.name.removeprefix(P): one for one in registry.collect()}

    def total(name: str) -> float:
        return sum(families[name].series.values()) if name in families else 0

    activity = Findings.of(events, prices=PRICES).activity
    spent = [story.usage for story in activity.models.by_name.values()]
    works = tree_to_dict(build_tree(events, "t"), prices=PRICES)["work"]
    trees = [one["usage"] for one in works if one["usage"]]
    for counted, of_report, of_tree in (
        ("cost_estimated_total", "estimated_cost", "estimated_cost"),
        ("cost_total", "cost", "cost"),
    ):
        expected = pytest.approx(total(counted))
        assert sum(sum(getattr(one, of_report).values()) for one in spent) == expected
        assert sum(sum(one[of_tree].values()) for one in trees) == expected
    unknown = {one for tree in trees for one in tree["without_price"]}
    assert bool(unknown) == bool(total("usage_without_price_total"))
    assert bool(unknown) == any(one.without_price for one in spent)


def test_prices_are_named_by_the_version_of_the_package() -> None:
    assert PRICES.name == f"genai-prices {version('genai-prices')}"


def test_metrics_keep_estimates_apart_and_name_their_prices(gpt: float) -> None:
    registry = MetricsRegistry(prices=PRICES)
    registry.observe(
        [
            usage(**TOKENS, model="gpt-4o"),
            usage(**TOKENS, model="gpt-4o", cost=0.5, currency="USD"),
            usage(**TOKENS, model="m-1"),
        ]
    )
    families = {one.name.removeprefix(P): one.series for one in registry.collect()}

    assert families["cost_estimated_total"] == {
        ("did:a", "gpt-4o", CURRENCY, f"genai-prices {VERSION}"): gpt
    }
    assert families["cost_total"] == {("did:a", "gpt-4o", "USD"): 0.5}
    assert families["usage_without_price_total"] == {("m-1",): 1}


def test_tree_marks_estimates_and_says_whose_prices_they_are(gpt: float) -> None:
    events = [
        usage(**TOKENS, model="gpt-4o"),
        usage("t/b/a", **TOKENS, model="gpt-4o", cost=0.5, currency="USD"),
        usage("t/c/a", **TOKENS, model="\x1b[31mm-1"),
    ]
    tree = build_tree(events, "t")
    lines = render_tree(tree, prices=PRICES, width=100).splitlines()

    assert lines[1].rstrip().endswith(f"(4,500 tokens, 0.5 USD, ~{gpt:.6g} USD)")
    assert lines[-2:] == [
        f"~ estimated by genai-prices {VERSION}",
        r"no price known: \x1b[31mm-1",
    ]
    assert tree_to_dict(tree, prices=PRICES)["prices"] == PRICES.name
    assert tree_to_dict(tree)["prices"] is None
    assert "~" not in render_tree(tree)


def test_report_marks_estimates_and_says_whose_prices_they_are(gpt: float) -> None:
    events = [usage(**TOKENS, model="gpt-4o"), usage(**TOKENS, model="m-1")]

    page = report_page(Findings.of(events, prices=PRICES), "j")
    assert f"1,000 tokens read, 500 written, ~{gpt:.6g} USD" in page
    assert "1,000 tokens read, 500 written, no price known" in page
    assert f"~ estimated by genai-prices {VERSION}" in page
    assert "estimated" not in report_page(Findings.of(events), "j")


def test_names_beyond_a_few_are_counted() -> None:
    assert names_text({"b", "a"}) == "a, b"
    assert names_text({f"m{number}" for number in range(8)}) == "m0, m1, m2, m3, m4 and 3 more"


def estimated(observability: Observability) -> bool:
    observability.recorder.usage(model="gpt-4o", provider="openai", input_tokens=1_000)
    return any(one.name == f"{P}cost_estimated_total" for one in observability.collect_metrics())


def test_observability_estimates_where_the_configuration_says_so(tmp_path: Path) -> None:
    path = write_config("[usage]\nestimate_cost = true\n", tmp_path / "c.toml")
    with Observability.from_config(path) as observability:
        assert estimated(observability)
        (event,) = observability.bus.all_events
    assert "cost" not in event.payload
    with Observability() as observability:
        assert not estimated(observability)


def test_configuration_that_needs_what_is_not_installed_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "genai_prices", None)
    monkeypatch.setattr("hypervisor_observability.config.extras.find_spec", lambda _: None)
    path = write_config("[usage]\nestimate_cost = true\n", tmp_path / "c.toml")

    with pytest.raises(ConfigError, match=r"toml:2: usage.estimate_cost: needs the package genai"):
        Observability.from_config(path)
    with pytest.raises(ValueError, match="the extra 'prices'"):
        UsageConfig(estimate_cost=True)
    events = tmp_path / "events.jsonl"
    events.write_text(json.dumps(usage(**TOKENS, model="gpt-4o").to_dict()) + "\n", "utf-8")
    asked = run_hvobs("tree", events, "--estimate-cost")
    assert asked.exit_code == 2
    assert "--estimate-cost needs the package genai-prices" in asked.stderr
    drawn = run_hvobs("tree", events, "--config", path)
    assert drawn.exit_code == 0
    assert "usage.estimate_cost: needs the package" in drawn.stderr
    assert "~" not in drawn.stdout


def test_commands_estimate_where_they_are_asked_to(tmp_path: Path, gpt: float) -> None:
    journal = tmp_path / "journal"
    with Observability(Config(plugins={"journal": {"directory": journal}})) as observability:
        observability.bus.emit(usage(**TOKENS, model="gpt-4o"))
    config = write_config(
        f'[usage]\nestimate_cost = true\n[plugins.journal]\ndirectory = "{journal.as_posix()}"\n',
        tmp_path / "c.toml",
    )
    estimate = f"~{gpt:.6g} USD"

    for command in ("tree", "report"):
        assert estimate in run_hvobs(command, "--journal", journal, "--estimate-cost").stdout
        assert estimate in run_hvobs(command, "--config", config).stdout
        assert estimate not in run_hvobs(command, "--journal", journal).stdout


PROGRAM = """
import socket, sys
def refuse(*_, **__):
    raise AssertionError("a connection")
socket.socket.connect = socket.create_connection = socket.getaddrinfo = refuse
from hypervisor_observability import Config, Observability
from hypervisor_observability.config import UsageConfig
with Observability(Config(usage=UsageConfig(estimate_cost={on}))) as observability:
    assert "genai_prices" not in sys.modules
    observability.recorder.usage(model="gpt-4o", input_tokens=1_000, cost=1)
    observability.collect_metrics()
    assert "genai_prices" not in sys.modules, "nothing was to be estimated"
    observability.recorder.usage(model="gpt-4o", input_tokens=1_000)
    names = [one.name for one in observability.collect_metrics()]
    print("genai_prices" in sys.modules, "agent_hypervisor_cost_estimated_total" in names)
"""


@pytest.mark.parametrize(("on", "told"), [(True, "True True"), (False, "False False")])
def test_package_is_imported_with_the_first_estimate_alone_and_nothing_is_fetched(
    on: bool, told: str
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(on=on)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert (done.stdout.strip(), done.stderr) == (told, "")
