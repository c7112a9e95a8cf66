"""``hvobs traces`` lists traces; ``tree``, ``query`` and ``tail`` find what was meant."""

import json
from contextlib import suppress
from pathlib import Path

import pytest

from hypervisor_observability import Config, EventType, HypervisorEvent, Observability
from tests.commands import run_hvobs
from tests.configurations import write_config


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a directory whose configuration names a journal."""
    monkeypatch.chdir(tmp_path)
    write_config("[plugins.journal]\ndirectory = 'journal'\n")
    return tmp_path


def record() -> None:
    """Record a failed trip, one that was refused something, and one that went well."""
    with Observability(Config(plugins={"journal": {"directory": "journal"}})) as observability:
        recorder = observability.recorder
        with (
            suppress(ValueError),
            recorder.session("s-failed"),
            recorder.agent("did:mesh:planner", name="planner"),
        ):
            with recorder.saga("trip") as saga, saga.step("pay"):
                recorder.usage(model="m", input_tokens=900, output_tokens=60, cost=0.5)
                raise ValueError("the bank does not answer")
        with recorder.session("s-refused"), recorder.agent("did:mesh:buyer", name="buyer"):
            recorder.decision(False, tool_name="shell")
            recorder.breach("shell", ring=3, required_ring=0, severity="high")
        with recorder.session("s-fine"), recorder.agent("did:mesh:clerk", name="clerk"):
            pass


def traces(*options: object) -> list[dict[str, object]]:
    done = run_hvobs("traces", "--json", *options)
    assert done.exit_code == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def names(*options: object) -> list[str]:
    return [str(one["root"]["title"]) for one in traces(*options)]  # type: ignore[index]  # JSON


def test_each_trace_is_a_line_the_newest_first() -> None:
    record()
    done = run_hvobs("traces")
    head, *lines = done.stdout.splitlines()

    assert head.split()[:5] == ["TRACE", "BEGUN", "ROOT", "AGENTS", "OUTCOME"]
    assert head.split()[5:] == ["BREACHES", "REFUSALS", "DURATION", "TOKENS", "COST"]
    assert [line.split()[4] for line in lines] == ["clerk", "buyer", "planner"]
    assert "FAILED" in lines[2]
    assert "960" in lines[2]
    assert "0.5" in lines[2]
    assert done.stderr == ""


def test_numbers_are_those_of_the_whole_trace() -> None:
    record()
    fine, refused, failed = traces()

    assert (failed["outcome"], failed["reason"]) == (
        "failed",
        "ValueError: the bank does not answer",
    )
    assert failed["usage"] == {"input_tokens": 900, "output_tokens": 60, "cost": {"unknown": 0.5}}
    assert (refused["breaches"], refused["refusals"], refused["failed"]) == (1, 1, False)
    assert (fine["outcome"], fine["agents"]) == ("ok", [{"did": "did:mesh:clerk", "name": "clerk"}])


@pytest.mark.parametrize(
    ("options", "found"),
    [
        (["--failed"], ["planner"]),
        (["--agent", "buyer"], ["buyer"]),
        (["--agent", "did:mesh:b*"], ["buyer"]),
        (["--session", "s-fine"], ["clerk"]),
        (["--since", "1h"], ["clerk", "buyer", "planner"]),
        (["--limit", "1"], ["clerk"]),
        (["--text", "BANK does"], ["planner"]),
        (["--text", "shell", "--text", "deny"], []),
    ],
)
def test_options_choose_traces(options: list[str], found: list[str]) -> None:
    record()

    assert names(*options) == found


def test_limit_says_how_many_there_are() -> None:
    record()

    assert (
        "the newest 1 of 3 traces: --limit 3 lists all"
        in run_hvobs("traces", "--limit", "1").stderr
    )


def test_word_that_occurs_nowhere_is_named_with_what_was_meant() -> None:
    record()
    for command in ("traces", "query"):
        done = run_hvobs(command, "--agent", "planer")
        assert done.exit_code == 0
        assert done.stdout == ""
        assert "no agent has the DID or name 'planer' (did you mean 'planner'" in done.stderr
    done = run_hvobs("query", "--type", "ring.breach")
    assert "no event has the type 'ring.breach' (did you mean 'ring.breach_detected'" in done.stderr


def test_trace_that_has_not_ended_runs() -> None:
    with Observability(Config(plugins={"journal": {"directory": "journal"}})) as observability:
        with observability.recorder.agent("did:a"):
            observability.flush()
            assert observability.bus.sync()
            (running,) = traces()
    (ended,) = traces()

    assert running["outcome"] == "running"
    assert ended["outcome"] == "ok"


def test_step_that_a_later_attempt_made_good_does_not_fail_its_trace() -> None:
    with Observability(Config(plugins={"journal": {"directory": "journal"}})) as observability:
        recorder = observability.recorder
        with recorder.agent("did:a"), recorder.saga("s") as saga:
            with suppress(ValueError), saga.step("pay"), recorder.agent("did:b"):
                raise ValueError
            with saga.step("pay", attempt=2):
                pass

    assert traces("--failed") == []
    assert "no trace failed" in run_hvobs("traces", "--failed").stderr


def test_tree_draws_the_newest_trace_and_says_how_many_others_there_are() -> None:
    record()
    done = run_hvobs("tree")

    assert "agent clerk" in done.stdout
    assert "planner" not in done.stdout
    assert (
        done.stderr.strip() == "the newest of 3 traces: 'hvobs traces' lists them, --all draws them"
    )


def test_tree_draws_the_newest_failed_trace_or_all() -> None:
    record()

    assert "agent planner" in run_hvobs("tree", "--failed").stdout
    everything = run_hvobs("tree", "--all").stdout
    assert all(name in everything for name in ("planner", "buyer", "clerk"))


@pytest.mark.parametrize("whole", [True, False], ids=["whole", "its beginning"])
@pytest.mark.parametrize("kind", ["trace", "saga", "session", "event", "causal"])
def test_tree_takes_any_id(kind: str, *, whole: bool) -> None:
    record()
    events = [json.loads(line) for line in run_hvobs("query", "--json").stdout.splitlines()]
    one = next(event for event in events if event["payload"].get("saga_id"))
    ids = {
        "trace": one["causal_trace_id"].partition("/")[0],
        "saga": one["payload"]["saga_id"],
        "session": "s-failed",
        "event": one["event_id"],
        "causal": one["causal_trace_id"],
    }
    text = ids[kind] if whole or kind == "causal" else ids[kind][:-1]
    done = run_hvobs("tree", text)

    assert done.exit_code == 0, done.stderr
    assert "agent planner" in done.stdout
    assert done.stdout.count("trace ") == 1


def test_beginning_of_several_ids_lists_them() -> None:
    record()
    done = run_hvobs("tree", "s-f")

    assert done.exit_code == 2
    assert "'s-f' is the beginning of 2 ids:" in done.stderr
    assert "session s-failed" in done.stderr
    assert "session s-fine" in done.stderr


def _record_ids(*ids: tuple[str, str]) -> None:
    """Record an event of each of *ids*: its own, and that of its trace."""
    with Observability(Config(plugins={"journal": {"directory": "journal"}})) as observability:
        for event_id, trace in ids:
            observability.bus.emit(
                HypervisorEvent(
                    event_type=EventType.VFS_WRITE,
                    event_id=event_id,
                    causal_trace_id=f"{trace}/00000001",
                )
            )


def test_beginning_of_very_many_ids_claims_no_exact_number() -> None:
    _record_ids(*((f"e{number}", f"aa{number:010x}") for number in range(1, 1_002)))

    assert "'aa' is the beginning of at least 1,000 ids:" in run_hvobs("tree", "aa").stderr


def test_many_events_do_not_hide_a_trace_that_begins_like_them() -> None:
    many = ((f"aa{number}", "cc0000000001") for number in range(1_001))
    _record_ids(*many, ("e1", "aa0000000001"))
    done = run_hvobs("tree", "aa")

    assert done.exit_code == 0, done.stderr
    assert "trace aa0000000001" in done.stdout


def test_id_of_nothing_is_an_error() -> None:
    record()
    done = run_hvobs("tree", "nowhere")

    assert done.exit_code == 1
    assert "no trace, saga, session or event has an id that begins with 'nowhere'" in done.stderr


def test_query_takes_globs_and_names_and_shows_the_trace() -> None:
    record()
    done = run_hvobs("query", "--type", "ring.*", "--agent", "buyer")
    (line,) = done.stdout.splitlines()
    trace = str(traces("--agent", "buyer")[0]["trace_id"])

    assert "ring.breach_detected" in line
    assert trace in line
    assert "Z" in line.split()[1]
    assert "buyer" in line


@pytest.mark.parametrize(
    ("options", "found"),
    [
        (
            ["bank", "ANSWER", "--agent", "planner"],
            ["saga.step_failed", "saga.escalated", "agent.finished"],
        ),
        (["does not answer", "--type", "saga.*"], ["saga.step_failed", "saga.escalated"]),
        (["--text", "shell", "breach"], ["ring.breach_detected"]),
        (["--wrong", "--agent", "buyer"], ["governance.decision", "ring.breach_detected"]),
        (["--wrong", "--limit", "1"], ["ring.breach_detected"]),
        (["shell", "--", "--wrong"], []),
    ],
)
def test_query_finds_words_and_what_went_wrong(options: list[str], found: list[str]) -> None:
    record()
    done = run_hvobs("query", *options)

    assert done.exit_code == 0, done.output
    assert [line.split()[3] for line in done.stdout.splitlines()] == found


def test_words_that_stand_nowhere_are_named() -> None:
    record()
    done = run_hvobs("query", "bank", "bnak", "--text", "answr")
    assert done.stdout == ""
    assert done.stderr == "no event has the text 'answr'\nno event has the text 'bnak'\n"

    done = run_hvobs("query", "bank", "shell")
    assert done.stderr == "no event matches all of these options\n"


def test_nothing_that_went_wrong_is_an_answer() -> None:
    with Observability(Config(plugins={"journal": {"directory": "journal"}})) as observability:
        with observability.recorder.agent("did:mesh:clerk"):
            pass
    done = run_hvobs("query", "--wrong")

    assert (done.exit_code, done.stdout) == (0, "")
    assert done.stderr == "no event says that something went wrong\n"


def test_report_is_of_the_events_that_were_asked_for() -> None:
    record()
    done = run_hvobs("report", "--wrong", "--text", "shell")

    assert done.exit_code == 0
    assert "did:mesh:buyer" in done.stdout
    assert "did:mesh:planner" not in done.stdout


def test_file_of_events_has_traces_too(here: Path) -> None:
    record()
    Path("events.jsonl").write_text(run_hvobs("query", "--json").stdout + "nonsense\n")
    done = run_hvobs("traces", "events.jsonl")

    assert "planner" in done.stdout
    assert "skipped: 1 line" in done.stderr
    assert "no such file" in run_hvobs("traces", "elsewhere.jsonl").stderr
