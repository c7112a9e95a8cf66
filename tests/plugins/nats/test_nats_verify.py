"""``hvobs nats verify``: whatever was done to a stream is found, or caught by an anchor."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from attrs import asdict, evolve
from click.testing import Result
from nats.js.client import JetStreamContext

from hypervisor_journal.format.frames import Record
from hypervisor_journal.proof.anchors import Anchor
from hypervisor_journal.proof.verification import Verdict, Verification
from hypervisor_nats.config import NatsConfig
from hypervisor_nats.names import subject_of
from hypervisor_nats.runs.run_proof import RunProof
from tests.commands import run_hvobs
from tests.plugins.nats.arrivals import (
    RUN,
    Message,
    RunWriter,
    delete,
    events,
    forged,
    message,
    messages_of,
    publish,
    renamed,
)
from tests.plugins.nats.servers import ask_server

OTHER = RUN[:-2] + "ee"


def anchor_of(records: Sequence[Record], count: int, run: str = RUN) -> Anchor:
    """Give the anchor of the first *count* records, all of which take a number."""
    return Anchor(run.rpartition("-")[2], count, records[count - 1].chain.hex())


def proven(messages: Sequence[Message], *anchors: Anchor) -> Verification:
    proof = RunProof(RUN, anchors)
    for head, data in messages:
        proof.take(head, data)
    return proof.verification()


# What messages prove


def test_run_is_proven_up_to_its_last_anchor() -> None:
    records = events(9)
    whole = messages_of(records, [2, 5])

    assert proven(whole, anchor_of(records, 9)).verdict is Verdict.PROVEN
    found = proven(whole, anchor_of(records, 4))
    assert (found.verdict, found.events, found.anchored) == (Verdict.UNANCHORED, 9, 4)
    assert found.reason == "no anchor vouches for the last 5 events"
    assert proven(whole).verdict is Verdict.UNANCHORED


def test_anchor_made_behind_a_note_proves_a_run_that_has_ended() -> None:
    writer = RunWriter().event().note().event().note()
    anchor = Anchor(RUN.rpartition("-")[2], 2, writer.chain.hex())

    assert proven(messages_of(writer.records), anchor).verdict is Verdict.PROVEN


def test_anchor_behind_a_note_that_is_yet_to_come_accuses_nobody() -> None:
    writer = RunWriter().event().event()
    arrived = message(writer.records)
    anchor = Anchor(RUN.rpartition("-")[2], 2, writer.note().chain.hex())

    assert proven([arrived], anchor).verdict is Verdict.UNANCHORED


def test_run_that_is_still_on_its_way_is_incomplete() -> None:
    records = events(9)
    found = proven(messages_of(records, [2, 5])[:2], anchor_of(records, 9))

    assert found.verdict is Verdict.INCOMPLETE
    assert found.reason == "it came as far as 6, and there is an anchor at 9"


def test_end_that_was_cut_off_is_found_by_an_anchor_alone() -> None:
    records = events(9)
    parts = messages_of(records, [2, 5])
    ended = message([], first=6, chain=parts[1][0].then, ended=True)

    assert proven([*parts[:2], ended]).verdict is Verdict.UNANCHORED
    found = proven([*parts[:2], ended], anchor_of(records, 9))
    assert (found.verdict, found.bad_sequence) == (Verdict.BAD, 6)
    assert found.reason == "the run ends here, before the anchor at 9"


def test_rewritten_run_is_found_by_an_anchor_alone() -> None:
    anchor = anchor_of(events(9), 5)
    anew = messages_of(events(9), [2, 5])

    assert proven(anew).verdict is Verdict.UNANCHORED
    found = proven(anew, anchor)
    assert (found.verdict, found.bad_sequence) == (Verdict.BAD, 4)
    assert "the run was rewritten" in found.reason


def test_rewritten_end_behind_a_hole_is_found_by_an_anchor() -> None:
    records = events(12)
    parts = messages_of(records, [2, 5])
    other = events(6, RunWriter(b"\1" * 32, 6))
    anew = message(other, first=6, chain=b"\1" * 32, ended=True)

    assert proven([parts[0], anew]).verdict is Verdict.INCOMPLETE
    found = proven([parts[0], anew], anchor_of(records, 9))
    assert (found.verdict, found.bad_sequence, found.missing) == (Verdict.BAD, 8, 3)


def test_beginning_that_has_gone_is_missing() -> None:
    records = events(9)
    found = proven(messages_of(records, [2, 5])[1:], anchor_of(records, 9))

    assert (found.verdict, found.missing, found.anchored) == (Verdict.INCOMPLETE, 3, 9)
    assert found.reason == "not in the stream: numbers 0 to 2 (its beginning)"


def test_many_places_are_counted_and_the_first_are_named() -> None:
    parts = messages_of(events(20), range(20))
    found = proven([*parts[::2], parts[3]])

    assert found.missing == 9
    assert found.reason == (
        "not in the stream: numbers 1 to 1, 3 to 3, 5 to 5 and 6 more; messages with such numbers"
        " that came later, and prove nothing: 1"
    )


def test_damaged_repeat_is_reported() -> None:
    parts = messages_of(events(6), [2])
    found = proven([parts[0], (parts[0][0], parts[0][1][:-1]), parts[1]])

    assert found.verdict is Verdict.UNANCHORED
    assert found.reason.endswith("that repeat what is proven, and were passed over: 1")


def test_erased_and_lost_events_are_counted() -> None:
    writer = RunWriter().event().erase_last().gap(4).event()
    found = proven(messages_of(writer.records), Anchor(RUN[-32:], 6, writer.chain.hex()))

    assert (found.verdict, found.events, found.erased, found.lost) == (Verdict.PROVEN, 2, 1, 4)


# The command, and a stream that is tampered with on its server


def verify(config: NatsConfig, *arguments: object) -> tuple[int, dict[str, Any], str]:
    """Give the exit code, what was found by run, and what was noted."""
    result = verified(config, *arguments, "--json")
    found = {one["run"]: one for one in json.loads(result.stdout)}
    return result.exit_code, found, result.stderr


def verified(config: NatsConfig, *arguments: object) -> Result:
    return run_hvobs(
        "nats", "verify", "--server", config.servers[0], "--stream", config.stream,
        *_config(config), *arguments,
    )  # fmt: skip


def _config(config: NatsConfig) -> list[object]:
    path = Path("hypervisor.toml")
    path.write_text(f'[plugins.nats]\nsubject = "{config.subject}"\n')
    return ["--config", path]


@pytest.fixture(autouse=True)
def _in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def arrived(nats_config: NatsConfig) -> list[Record]:
    """The records of a run that is in the stream, in messages 1 to 4, and of another run in 5."""
    records = events(12)
    publish(nats_config, *messages_of(records, [2, 5, 8]))
    publish(nats_config, *messages_of(events(3), run=OTHER))
    return records


def write_anchors(*anchors: Anchor) -> Path:
    path = Path("anchors")
    path.write_text("".join(json.dumps(asdict(anchor)) + "\n" for anchor in anchors))
    return path


def test_stream_with_anchors_at_all_ends_is_proven(nats_config: NatsConfig) -> None:
    records = events(6)
    publish(nats_config, *messages_of(records, [2]))
    anchors = write_anchors(anchor_of(records, 6))

    code, found, _ = verify(nats_config, "--anchors", anchors)
    assert (code, found[RUN]["verdict"]) == (0, "proven")
    result = verified(nats_config, RUN[:15], "--anchors", anchors)
    assert result.exit_code == 0
    assert result.stdout.split() == [
        "RUN", "VERDICT", "EVENTS", "ANCHORED", "ERASED", "LOST", RUN, "proven", "6", "6", "0", "0"
    ]  # fmt: skip


def test_whole_stream_without_anchors_is_unanchored(
    nats_config: NatsConfig, arrived: list[Record]
) -> None:
    code, found, _ = verify(nats_config)
    assert (code, {one["verdict"] for one in found.values()}) == (3, {"unanchored"})
    assert {name: one["events"] for name, one in found.items()} == {RUN: len(arrived), OTHER: 3}


@pytest.mark.fault("N9")
def test_message_that_was_taken_out_is_missing(
    nats_config: NatsConfig, arrived: list[Record]
) -> None:
    delete(nats_config, 2)
    code, found, _ = verify(nats_config, "--anchors", write_anchors(anchor_of(arrived, 12)))
    assert (code, found[RUN]["verdict"], found[RUN]["missing"]) == (3, "incomplete", 3)
    assert found[RUN]["reason"] == "not in the stream: numbers 3 to 5"
    assert "MISSING" in verified(nats_config, RUN).stdout


@pytest.mark.fault("N9")
def test_message_that_was_replaced_is_found(nats_config: NatsConfig, arrived: list[Record]) -> None:
    """The stranger can only put it behind the others: there it proves nothing."""
    parts = messages_of(arrived, [2, 5, 8])
    delete(nats_config, 2)
    publish(nats_config, forged(parts[1], 1, b'{"number":44}'))
    code, found, _ = verify(nats_config)
    assert (code, found[RUN]["verdict"], found[RUN]["missing"]) == (3, "incomplete", 3)
    assert "came later, and prove nothing: 1" in found[RUN]["reason"]


def test_last_message_that_was_replaced_is_found(
    nats_config: NatsConfig, arrived: list[Record]
) -> None:
    """Its checksums are right; the chain is not."""
    parts = messages_of(arrived, [2, 5, 8])
    delete(nats_config, 4)
    publish(nats_config, forged(parts[3], 1, b'{"number":44}'))
    code, found, _ = verify(nats_config)
    assert (code, found[RUN]["verdict"], found[RUN]["bad_sequence"]) == (1, "bad", 10)
    assert found[RUN]["reason"] == "the record is not what was written"
    assert found[RUN]["events"] == 10
    assert found[OTHER]["verdict"] == "unanchored"
    assert f"sequence 10: {found[RUN]['reason']}" in verified(nats_config).stdout


@pytest.mark.fault("N9")
def test_messages_of_two_runs_that_were_swapped_are_found(nats_config: NatsConfig) -> None:
    ours, others = messages_of(events(6), [2]), messages_of(events(6), [2], run=OTHER)
    publish(nats_config, ours[0], others[0], renamed(others[1], RUN), renamed(ours[1], OTHER))
    code, found, _ = verify(nats_config)
    assert code == 1
    assert [(one["verdict"], one["bad_sequence"]) for one in found.values()] == [("bad", 3)] * 2


@pytest.mark.fault("N9")
def test_run_that_was_forged_whole_is_found_by_an_anchor_alone(nats_config: NatsConfig) -> None:
    anchors = write_anchors(anchor_of(events(6), 6))
    publish(nats_config, *messages_of(events(6), [2]))
    assert verify(nats_config)[0] == 3
    code, found, _ = verify(nats_config, "--anchors", anchors)
    assert (code, found[RUN]["verdict"], found[RUN]["bad_sequence"]) == (1, "bad", 5)


def test_run_that_never_arrived_is_found_by_its_anchor_alone(nats_config: NatsConfig) -> None:
    records = events(6)
    publish(nats_config, *messages_of(records, [2]))
    missing = anchor_of(records, 6, OTHER)
    code, _, noted = verify(nats_config, "--anchors", write_anchors(anchor_of(records, 6), missing))
    assert code == 3
    assert f"run {missing.run} is not in the stream, and has an anchor" in noted


@pytest.mark.fault("N9")
def test_header_that_was_changed_is_found(nats_config: NatsConfig) -> None:
    """A time in it would keep events from who asks for others."""
    (head, data), *others = messages_of(events(6), [2])
    publish(nats_config, (evolve(head, until_ns=head.from_ns), data), *others)
    code, found, _ = verify(nats_config)
    assert (code, found[RUN]["bad_sequence"]) == (1, 0)
    assert found[RUN]["reason"] == "its headers and its records disagree: times"


def test_foreign_message_is_noted(nats_config: NatsConfig) -> None:
    publish(nats_config, *messages_of(events(3)))

    async def strange(jetstream: JetStreamContext) -> None:
        for _ in range(25):
            await jetstream.publish(subject_of(nats_config.subject, "svc", RUN, 4), b"hello")

    ask_server(nats_config, strange)
    code, found, noted = verify(nats_config)
    assert (code, found[RUN]["verdict"]) == (3, "unanchored")
    assert "message 2 is not of a run: it has no Hv-Format header" in noted
    assert "and 5 more such messages" in noted


def test_empty_stream_proves_nothing(nats_config: NatsConfig) -> None:
    code, found, noted = verify(nats_config)
    assert (code, found) == (3, {})
    assert "there is no run in nats://" in noted


def test_run_that_is_not_there_and_one_of_many_are_refused(
    nats_config: NatsConfig, arrived: list[Record]
) -> None:
    assert "0 runs are called 'nobody'" in verified(nats_config, "nobody").stderr
    assert "2 runs are called '2026'" in verified(nats_config, "2026").stderr
    assert arrived


def test_missing_stream_is_reported(nats_config: NatsConfig) -> None:
    result = verified(nats_config, "--stream", "nothing")
    assert result.exit_code == 2
    assert "there is no stream" in result.stderr


def test_server_that_is_away_is_reported() -> None:
    path = Path("hypervisor.toml")
    path.write_text("[plugins.nats]\ntimeout_seconds = 0.5\n")
    away = ("--server", "nats://127.0.0.1:1", "--config", path)
    result = run_hvobs("nats", "verify", *away)
    assert result.exit_code == 1
    assert "nobody listens there" in result.stderr


def test_page_shows_what_the_command_writes(nats_config: NatsConfig) -> None:
    names = [f"20261128T101112.000000Z-{'0f' * 15}0{number}" for number in (1, 2, 3, 4)]
    runs = {name: events(9) for name in names}
    for name, records in runs.items():
        parts = messages_of(records, [2, 5], run=name)
        if name == names[2]:
            del parts[1]
        elif name == names[3]:
            parts[1] = forged(parts[1], 1, b'{"number":44}')
        publish(nats_config, *parts)
    anchors = write_anchors(
        anchor_of(runs[names[0]], 9, names[0]), anchor_of(runs[names[1]], 4, names[1])
    )
    result = verified(nats_config, "--anchors", anchors)

    page = (Path(__file__).parents[3] / "docs" / "reference" / "nats.md").read_text()
    command = "$ hvobs nats verify --anchors anchors.jsonl"
    assert f"{command}\n{result.stdout}$ echo $?\n{result.exit_code}\n" in page
