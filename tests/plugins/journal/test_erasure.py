"""Erased means erased, wherever it stood, and unknown to whoever reads it afterwards."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from hypervisor_journal.format.frames import CHECKSUM_BYTES
from hypervisor_journal.proof.erasure import erase
from hypervisor_journal.proof.verification import Verdict, verify
from hypervisor_journal.reading.reader import RunReader
from hypervisor_journal.reading.segment_reader import SegmentReader
from hypervisor_journal.runs.runs import runs_of
from hypervisor_journal.streams.cursor_files import read_cursor
from hypervisor_observability import EventType, HypervisorEvent, HypervisorEventBus, Recorder
from hypervisor_observability.delivery.dead_letters import DeadLetters
from hypervisor_observability.events.event import is_erased, raw_payload, with_payload
from hypervisor_observability.events.event_types import AGENT_FINISHED, GOVERNANCE_DECISION
from hypervisor_observability.gate import Gate
from hypervisor_observability.metrics.decisions import GovernanceCounts
from hypervisor_observability.metrics.labels import LabelRules
from hypervisor_observability.metrics.registry import MetricsRegistry
from hypervisor_observability.metrics.uncounted import Uncounted
from hypervisor_observability.report import Findings
from hypervisor_observability.spans.assembly import SpanAssembler
from hypervisor_observability.spans.record import SpanStatus
from hypervisor_observability.tree import build_tree, render_tree
from tests.commands import run_hvobs
from tests.plugins.journal.journals import write

EVE = "did:mesh:eve"
SAID = "Eve Miller, born 1970-01-01"


def holding(directory: Path, text: str) -> list[Path]:
    found = (path for path in directory.rglob("*") if path.is_file())
    return [path for path in found if text.encode() in path.read_bytes()]


def of_eve(**payload: Any) -> HypervisorEvent:
    return HypervisorEvent(event_type=EventType.VFS_WRITE, agent_did=EVE, payload=payload)


# On the disk


@pytest.mark.fault("J22")
def test_salt_and_payload_are_overwritten_and_synced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = write(tmp_path, *(of_eve(name=SAID, number=n) for n in range(3)))
    path = run.segment_path(0)
    records = [record for _, record in SegmentReader(path).records()]
    done: list[tuple[str, int]] = []
    real_write, real_sync = os.pwrite, os.fsync

    def pwrite(descriptor: int, data: bytes, offset: int) -> int:
        done.append(("write", os.fstat(descriptor).st_ino))
        return real_write(descriptor, data, offset)

    def fsync(descriptor: int) -> None:
        done.append(("sync", os.fstat(descriptor).st_ino))
        real_sync(descriptor)

    monkeypatch.setattr(os, "pwrite", pwrite)
    monkeypatch.setattr(os, "fsync", fsync)
    assert erase(run, lambda _: True) == 3

    inode = path.stat().st_ino
    assert [what for what, where in done if where == inode] == ["write"] * 3 + ["sync"]
    left = path.read_bytes()
    for record in records:
        assert record.salt not in left
        assert record.payload not in left
    assert verify(run).erased == 3
    assert all(not any(record.salt) for _, record in SegmentReader(path).records())


@pytest.mark.fault("J22")
@pytest.mark.parametrize("at", range(6))
def test_erasing_that_was_interrupted_in_a_record_is_finished_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    run = write(tmp_path, *(of_eve(name=SAID, number=n) for n in range(5)))
    calls, real = 0, os.pwrite

    def half(descriptor: int, data: bytes, offset: int) -> int:
        nonlocal calls
        calls += 1
        if calls == at + 1:
            real(descriptor, data[: len(data) // 2], offset)
            raise KeyboardInterrupt
        return real(descriptor, data, offset)

    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", half)
        if at < 5:
            with pytest.raises(KeyboardInterrupt):
                erase(run, lambda _: True)
        else:
            erase(run, lambda _: True)
    erase(run, lambda _: True)
    assert not holding(tmp_path, "Eve Miller")
    found = verify(run)
    assert (found.verdict, found.events, found.erased) == (Verdict.UNANCHORED, 5, 5)
    assert not (run.path / "erasing").exists()


@pytest.mark.fault("J22")
def test_beginning_of_a_record_that_was_never_accepted_goes_too(tmp_path: Path) -> None:
    run = write(tmp_path, of_eve(number=1), of_eve(name=SAID))
    path = run.segment_path(0)
    data = path.read_bytes()
    last = [offset for offset, _ in SegmentReader(path).records()][-1]
    path.write_bytes(data[:last] + bytes(CHECKSUM_BYTES) + data[last + CHECKSUM_BYTES :])
    erase(run, lambda _: True)
    assert not holding(tmp_path, "Eve Miller")
    assert (verify(run).events, verify(run).torn) == (1, False)


@pytest.mark.fault("J22")
def test_what_stands_behind_damage_is_told_not_to_be_erased(tmp_path: Path) -> None:
    run = write(tmp_path, *(of_eve(name=SAID, number=n) for n in range(5)))
    path = run.segment_path(0)
    data = bytearray(path.read_bytes())
    second = [offset for offset, _ in SegmentReader(path).records()][1]
    data[second + 90] ^= 1
    path.write_bytes(data)
    result = run_hvobs("journal", "erase", "--journal", tmp_path, "--subject", EVE, "--yes")
    assert result.exit_code == 1
    assert f"byte {second}" in result.stderr.replace("\n", "")


STATES = """
import os, sys
from pathlib import Path
from hypervisor_observability import Config, EventType, Observability, hookimpl
class Spans:
    name = "spans"
    @hookimpl
    def export_spans(self, spans): pass
journal = {"journal": {"directory": sys.argv[1]}}
observability = Observability(Config(plugins=journal), plugins=[Spans()]).start()
bus = observability.bus
eve, said = "did:mesh:eve", "Eve Miller, born 1970-01-01"
bus.record(EventType.SESSION_JOINED, agent_did=eve, payload={"name": said})
loan = {"saga_id": "s", "name": f"loan of {said}"}
bus.record(EventType.SAGA_CREATED, agent_did=eve, payload=loan)
bob = "did:mesh:bob"
bus.record(EventType.VFS_WRITE, agent_did=eve)
bus.record(EventType.SESSION_JOINED, agent_did=bob, payload={"name": "Bob the agent"})
bus.record(EventType.VFS_WRITE, agent_did=bob, payload={"to": eve, "text": f"({said})"})
assert observability.flush(timeout=30)
bus.sync()
os._exit(0)
"""


@pytest.fixture
def states(tmp_path: Path) -> Path:
    """A journal of a process that died with open spans of two agents."""
    journal = tmp_path / "journal"
    subprocess.run([sys.executable, "-c", STATES, str(journal)], check=True, timeout=120)
    assert any(path.suffix == ".json" for path in holding(journal, "Eve Miller"))
    return journal


@pytest.mark.fault("J22")
def test_saved_spans_forget_the_subject_and_no_one_else(states: Path) -> None:
    (cursor,) = (path for path in holding(states, "Eve Miller") if path.suffix == ".json")
    before = json.loads(cursor.read_text())
    result = run_hvobs("journal", "erase", "--journal", states, "--subject", EVE, "--yes")
    assert (result.exit_code, result.stdout) == (0, "erased 3 payloads\n")

    after = json.loads(cursor.read_text())
    assert after["sequences"] == before["sequences"]
    assert EVE not in json.dumps(after["state"])
    assert "Bob the agent" in json.dumps(after["state"])
    assert [path.suffix for path in holding(states, "Eve Miller")] == [".hvj"]  # what Bob said
    assert "payload 1" in result.stderr
    assert "sequence 4" in result.stderr


@pytest.mark.fault("J22")
def test_position_stays_what_it_is_where_the_state_beside_it_is_erased(states: Path) -> None:
    (cursor,) = (path for path in holding(states, "Eve Miller") if path.suffix == ".json")
    with cursor.open("a") as file:
        file.write('[["sequence",77]]\n[["sequence",78]]\n')  # batches since the state was saved
    before = read_cursor(cursor)
    run_hvobs("journal", "erase", "--journal", states, "--subject", EVE, "--yes")
    after = read_cursor(cursor)

    assert holding(cursor.parent, "Eve Miller") == []
    assert after.damage is None
    assert (after.values, after.steps) == (before.values, before.steps)
    assert after.values == {"sequence": 78}


@pytest.mark.fault("J22")
def test_dry_run_counts_the_same_and_changes_nothing(states: Path) -> None:
    def content() -> dict[Path, bytes]:
        return {path: path.read_bytes() for path in states.rglob("*") if path.is_file()}

    before = content()
    dry = run_hvobs("journal", "erase", "--journal", states, "--subject", EVE, "--dry-run")
    assert (dry.exit_code, dry.stdout) == (0, "would erase 3 payloads\n")
    assert content() == before
    real = run_hvobs("journal", "erase", "--journal", states, "--subject", EVE, "--yes")
    assert real.stderr == dry.stderr.replace("would be taken", "was taken")
    again = run_hvobs("journal", "erase", "--journal", states, "--subject", EVE, "--dry-run")
    assert again.stdout == "would erase 0 payloads\n"


@pytest.mark.fault("J22")
def test_old_content_of_a_saved_state_is_overwritten(states: Path) -> None:
    (cursor,) = (path for path in holding(states, "Eve Miller") if path.suffix == ".json")
    with cursor.open("rb") as old:
        run_hvobs("journal", "erase", "--journal", states, "--subject", EVE, "--yes")
        assert not any(old.read())


@pytest.mark.fault("J22")
def test_dead_letters_forget_the_payload(tmp_path: Path) -> None:
    write(tmp_path / "journal", of_eve(name=SAID))
    letters = DeadLetters.of(tmp_path / "state", "otel")
    letters.write(of_eve(name=SAID), f"it refused {SAID}")
    letters.write(HypervisorEvent(agent_did="did:mesh:bob", payload={"name": "Bob"}), "no")
    config = tmp_path / "hypervisor.toml"
    config.write_text(
        f"[plugins.journal]\ndirectory = '{tmp_path}/journal'\n"
        f"[state]\ndirectory = '{tmp_path}/state'\n"
    )
    moved = letters.path.with_name("otel.jsonl.1")
    moved.write_bytes(letters.path.read_bytes())
    torn = letters.path.read_bytes().splitlines()[0][:-5]  # its process was killed
    letters.path.write_bytes(letters.path.read_bytes() + torn)
    result = run_hvobs("journal", "erase", "--config", config, "--subject", EVE, "--yes")
    assert result.exit_code == 0, result.output
    assert not holding(tmp_path, "Eve Miller")
    assert moved.read_bytes() == letters.path.read_bytes()
    eve, bob = map(json.loads, letters.path.read_text().splitlines())
    assert (eve["event"]["payload"], eve["event"]["erased"]) == ({}, True)
    assert bob["event"]["payload"] == {"name": "Bob"}


@pytest.mark.fault("J22")
def test_what_killed_processes_left_half_made_is_erased_too(states: Path) -> None:
    (run,) = runs_of(states)
    (cursor,) = (path for path in holding(states, "Eve Miller") if path.suffix == ".json")
    saved = cursor.read_bytes()
    copy = run.path / "copy.new"  # of a segment that an error struck, before it took the name
    copy.write_bytes(run.segment_path(0).read_bytes())
    for folder, name, content in (
        (cursor.parent, ".spans.json.0123456789abcdef.tmp", saved),
        (states / "agent", ".spans.json.0123456789abcdef.tmp", saved[: len(saved) - 9]),
    ):
        folder.mkdir(exist_ok=True)
        (folder / name).write_bytes(content)
    with copy.open("rb") as old:
        run_hvobs("journal", "erase", "--journal", states, "--subject", EVE, "--yes")
        assert not any(old.read())
    assert not copy.exists()
    assert holding(states, "Eve Miller") == [run.segment_path(0)]  # what Bob said


# Afterwards


def as_erased(event: HypervisorEvent) -> HypervisorEvent:
    values = {**event.to_dict(), "payload": {}, "erased": True}  # as ``hvobs query --json`` does
    return HypervisorEvent.from_dict(values)


@pytest.mark.fault("J22")
def test_event_says_that_it_was_erased_wherever_it_goes(tmp_path: Path) -> None:
    run = write(tmp_path, of_eve(name=SAID), of_eve())
    erase(run, lambda event: bool(event.payload))
    first, second = (event for event in RunReader(run).read(0, 9).events)
    assert is_erased(first)
    assert not is_erased(second)
    assert first.payload == {}
    for again in (
        Gate(enabled=True).admit(first),
        with_payload(first, {}),
        HypervisorEvent.from_dict({**first.to_dict(), "payload": raw_payload(first)}),
    ):
        assert is_erased(again)
    (line, other) = run_hvobs("query", "--journal", tmp_path, "--json").stdout.splitlines()
    assert json.loads(line)["erased"] is True
    assert "erased" not in json.loads(other)
    assert "(erased)" in run_hvobs("query", "--journal", tmp_path).stdout


def work(refuse: bool) -> list[HypervisorEvent]:
    """Everything of which payloads say how it ended, well or not."""
    bus = HypervisorEventBus()
    recorder = Recorder(bus)
    try:
        with recorder.session("s"), recorder.agent(EVE, name="eve"):
            recorder.decision(not refuse, tool_name="shell", reason="ring 3")
            with recorder.saga("loan") as saga, saga.step("book"):
                if refuse:
                    raise RuntimeError(SAID)
    except RuntimeError:
        pass
    return bus.all_events


@pytest.mark.fault("J22")
@pytest.mark.parametrize("refuse", [False, True])
def test_no_reader_says_how_erased_work_ended(refuse: bool) -> None:
    events = [as_erased(event) for event in work(refuse)]
    known = {event.event_type for event in events}
    assert {GOVERNANCE_DECISION, AGENT_FINISHED} <= known

    traces = {event.causal_trace_id for event in events if event.causal_trace_id}
    (trace,) = {one.partition("/")[0] for one in traces}
    drawn = render_tree(build_tree(events, trace), width=100)
    assert "erased" in drawn
    for lie in (" ok", "REFUSED", "committed", "allow", "eve Miller"):
        assert lie not in drawn

    assembler = SpanAssembler()
    spans = [span for event in events for span in assembler.feed(event)]
    assert spans
    for span in spans:
        assert span.status is not SpanStatus.OK
        assert "agent.hypervisor.policy.decision" not in span.attributes
        assert span.attributes.get("agent.saga.outcome") != "committed"
        assert span.attributes.get("agent.saga.state") not in ("ok", "committed")
    assert any(span.attributes.get("agent.hypervisor.erased") for span in spans)

    metrics = MetricsRegistry(LabelRules("full", 2_000))
    metrics.observe(events)
    told = {
        word
        for family in metrics.collect()
        for labels, value in family.series.items()
        if value
        for word in labels
    }
    assert told.isdisjoint({"committed", "allow", "deny", "ok"})

    findings = Findings.of(events)
    pieces = [piece.state for saga in findings.sagas.values() for piece in saga.pieces]
    assert "committed" not in pieces
    assert dict(findings.decisions) == {"erased": 1}
    assert "committed" not in findings.outcomes


@pytest.mark.fault("J22")
def test_metrics_count_an_erased_decision_as_neither_allowed_nor_denied() -> None:
    counts = GovernanceCounts(LabelRules("full", 2_000), Uncounted())
    counts.observe(as_erased(HypervisorEvent(event_type=GOVERNANCE_DECISION, agent_did=EVE)))
    decided, blocked, allowed, *_ = counts.instruments.families()
    assert [labels[0] for labels, count in decided.series.items() if count] == ["erased"]
    assert not any(blocked.series.values())
    assert not any(allowed.series.values())
