"""A directory that an earlier version wrote is read as before.

``written_before_stores.tar.xz`` holds one from the last version whose journal was a part of core,
with all that it left there:

* run A: 61 events and a saga that begins; the reader has all of them;
* run B: 40 events, of which the reader has the first 20;
* an agent's cursors: its reader has 30 of the 102 events of both, its metrics all;
* run C: 12 events of a process that was killed; the reader has none;
* anchors with keys, what was proven, the index, and what a query gave: ``query.jsonl``.
"""

import json
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from hypervisor_observability import Config, DeliveryConfig, EventType, HypervisorEvent
from hypervisor_observability.host.agent import Agent
from hypervisor_observability.host.observability import Observability
from hypervisor_observability.testing.readers import SpanReader, TakingReader
from tests.commands import run_hvobs

ARCHIVE = Path(__file__).with_name("written_before_stores.tar.xz")
WIDE_SECONDS = 60.0
RUNS = {"A": 61, "B": 40, "C": 12}


@pytest.fixture
def earlier(tmp_path: Path) -> Path:
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(tmp_path, filter="data")
    return tmp_path


def config_for(earlier: Path) -> Config:
    table = {
        "directory": str(earlier / "j"),
        "segment_bytes": 65536,
        "anchor_file": str(earlier / "anchors"),
        "anchor_key_file": str(earlier / "key"),
    }
    delivery = DeliveryConfig(interval_seconds=0.01)
    return Config(plugins={"journal": table}, delivery=delivery, stop_timeout_seconds=10)


def told(events: Sequence[HypervisorEvent]) -> list[tuple[str, int]]:
    """Give the runs and the numbers of the events that the earlier version wrote."""
    return [(one.payload["run"], one.payload["n"]) for one in events if "run" in one.payload]


def numbered(run: str, first: int, end: int | None = None) -> list[tuple[str, int]]:
    return [(run, number) for number in range(first, RUNS[run] if end is None else end)]


@pytest.mark.parametrize("options", [(), ("--no-index",)])
def test_query_gives_what_it_gave(earlier: Path, options: Sequence[str]) -> None:
    result = run_hvobs("query", "--journal", str(earlier / "j"), "--json", *options)

    assert result.exit_code == 0
    assert result.stdout == (earlier / "query.jsonl").read_text()


def test_index_of_the_earlier_version_is_no_condition(earlier: Path) -> None:
    (earlier / "j" / "index" / "events.sqlite3").write_bytes(b"something else")
    result = run_hvobs("query", "--journal", str(earlier / "j"), "--json", "--agent", "did:1")

    asked = [json.loads(line) for line in (earlier / "query.jsonl").read_text().splitlines()]
    found = [json.loads(line) for line in result.stdout.splitlines()]
    assert found == [one for one in asked if one["agent_did"] == "did:1"]


def test_anchors_prove_what_they_proved(earlier: Path) -> None:
    key = (earlier / "first_key.txt").read_text().strip()
    arguments = ("--anchors", str(earlier / "anchors"), "--key", key, "--json")
    result = run_hvobs("journal", "verify", "--journal", str(earlier / "j"), *arguments)

    assert result.exit_code == 3  # nobody anchored what the killed process wrote
    then = json.loads((earlier / "verify.json").read_text())
    now = json.loads(result.stdout)  # which says more than it did then
    assert [{key: run[key] for key in said} for run, said in zip(now, then, strict=True)] == then


def test_next_process_delivers_what_was_left_once(earlier: Path) -> None:
    reader, spans = TakingReader(), SpanReader()
    with Observability(config_for(earlier), plugins=[reader, spans]) as observability:
        end = observability.bus.record(EventType.SAGA_COMPLETED, payload={"saga_id": "one"})
        assert observability.flush(WIDE_SECONDS)
        counts = observability.counts()["reader"]

    assert told(reader.events) == [*numbered("B", 20), *numbered("C", 0)]
    assert counts.emitted == counts.delivered == 33
    (span,) = spans.spans
    assert span.end_ns == end.timestamp_ns
    begun = json.loads((earlier / "query.jsonl").read_text().splitlines()[0])
    assert begun["event_type"] == EventType.SAGA_CREATED.value
    assert span.start_ns < span.end_ns


def test_agent_goes_on_where_it_was(earlier: Path) -> None:
    reader = TakingReader()
    with Agent(config_for(earlier), plugins=[reader]) as agent:
        assert agent.flush(WIDE_SECONDS)
        counts = agent.counts()
        totals: dict[str, Any] = {one.name: one.series for one in agent.collect_metrics()}
        assert not agent.damaged

    everything = [one for run in RUNS for one in numbered(run, 0)]
    assert len(set(told(reader.events))) == len(told(reader.events))
    assert set(told(reader.events)) < set(everything)
    assert counts["reader"].delivered == 114 - 30
    assert counts["metrics"].delivered == 12  # those of the other runs were counted
    assert totals["agent_hypervisor_vfs_operations_total"][("write",)] == len(everything)


def test_payloads_of_the_earlier_version_are_erased(earlier: Path) -> None:
    directory = str(earlier / "j")
    erased = run_hvobs("journal", "erase", "--journal", directory, "--subject", "did:1", "--yes")
    assert erased.exit_code == 0

    result = run_hvobs("query", "--journal", directory, "--agent", "did:1", "--json")
    assert {str(json.loads(line)["payload"]) for line in result.stdout.splitlines()} == {"{}"}
    proven = run_hvobs("journal", "verify", "--journal", directory, "--json")
    assert all(one["bad_sequence"] is None for one in json.loads(proven.stdout))
