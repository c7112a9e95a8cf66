"""``hvobs tree``: causal trees of recorded events, whatever the events hold."""

import json
import unicodedata
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result
from hypothesis import given
from hypothesis import strategies as st

from hypervisor_observability import (
    CausalTraceId,
    EventType,
    HypervisorEvent,
    HypervisorEventBus,
    Recorder,
)
from hypervisor_observability.cli.event_lines import MAX_LINE_BYTES, parse_line
from tests.commands import run_hvobs

Draw = Callable[..., Result]

HOSTILE = "".join(
    [
        *map(chr, range(256)),
        "\x1b]52;c;b3duZWQ=\x07",  # writes the clipboard
        "\x1bP$q\x1b\\",  # a device control string
        "\u202e\u2066\u200b\ufeff\u2028",  # shows something else than what is there
        "\ud800",
    ]
)


@pytest.fixture
def draw(tmp_path: Path) -> Draw:
    """Write lines into a file and run ``hvobs tree`` on it."""

    def run(lines: list[str], *options: str) -> Result:
        file = tmp_path / "events.jsonl"
        file.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        return run_hvobs("tree", file, *options)

    return run


def recorded(name: str = "ada") -> list[str]:
    """Give the lines of a small run: an agent, a saga, a step that fails."""
    bus = HypervisorEventBus()
    recorder = Recorder(bus)
    with recorder.session(), recorder.agent(f"did:mesh:{name}", name=name):
        with pytest.raises(OSError, match="disk"), recorder.saga("release") as saga:
            with saga.step("write"):
                raise OSError("the disk is full: " + name)
    return [line_of(event) for event in bus.query()]


def line_of(event: HypervisorEvent) -> str:
    return json.dumps(event.to_dict())


def event_of(trace: object, **more: object) -> str:
    event = HypervisorEvent(event_type=EventType.SESSION_JOINED, causal_trace_id=str(trace))
    return json.dumps({**event.to_dict(), **more})


def test_tree_shows_who_did_what_and_what_failed(draw: Draw) -> None:
    done = draw(recorded())

    lines = done.stdout.splitlines()
    assert done.exit_code == 0
    assert done.stderr == ""
    assert lines[0].startswith("trace ")
    assert lines[1].startswith("agent ada (did:mesh:ada)")
    assert lines[2].startswith("└─ saga release")
    assert lines[3].startswith("   └─ step write")
    assert lines[3].endswith("FAILED")
    assert "the disk is full" in lines[4]


def test_stdin_is_read_where_the_file_is_a_dash() -> None:
    done = run_hvobs("tree", "-", input="\n".join(recorded()))

    assert done.exit_code == 0
    assert "saga release" in done.stdout


def test_each_trace_has_its_tree(draw: Draw) -> None:
    done = draw([*recorded("ada"), *recorded("bob")])

    first, second = done.stdout.split("\n\n")
    assert "agent ada" in first
    assert "agent bob" in second


def test_one_trace_is_chosen_by_any_of_its_ids(draw: Draw) -> None:
    trace = CausalTraceId()
    lines = [*recorded(), event_of(trace), event_of(trace.child())]
    short, full, wide = trace.trace_id, trace.full_id, trace.to_traceparent().split("-")[1]

    for chosen in (short, full, wide):
        done = draw(lines, "--trace", chosen)
        assert done.exit_code == 0
        assert "did:mesh:ada" not in done.stdout
        assert done.stdout.count("span ") + done.stdout.count("agent ") == 2


def test_events_of_short_and_wide_form_are_one_trace(draw: Draw) -> None:
    trace = CausalTraceId()
    remote = CausalTraceId.from_traceparent(trace.to_traceparent())

    done = draw([event_of(trace), event_of(f"{remote.trace_id}/{'ab' * 8}")])

    assert done.stdout.count("trace ") == 1


@pytest.mark.parametrize("chosen", ["nowhere", "\udcff", "é"])
def test_trace_that_is_not_there_is_an_error(draw: Draw, chosen: str) -> None:
    done = draw(recorded(), "--trace", chosen)

    assert done.exit_code == 1
    assert done.stdout == ""
    assert "no trace, saga, session or event has an id that begins with" in done.stderr


def test_json_holds_the_trees_and_is_ascii(draw: Draw) -> None:
    done = draw([*recorded("Zoë"), "nonsense"], "--json")

    assert done.stdout.isascii()
    told = json.loads(done.stdout)
    assert (told["events"], told["bad_lines"]) == (len(recorded()), 1)
    assert (told["without_causal_id"], told["unreadable_causal_id"]) == (2, 0)
    (tree,) = told["traces"]
    assert [work["kind"] for work in tree["work"]] == ["agent", "saga", "step"]
    assert tree["work"][0]["agent_did"] == "did:mesh:Zoë"


def test_width_bounds_the_lines(draw: Draw) -> None:
    done = draw(recorded("a" * 200), "--width", "60")

    assert max(map(len, done.stdout.splitlines())) <= 60


def test_width_of_the_terminal_is_used(draw: Draw, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "50")

    assert max(map(len, draw(recorded("a" * 200)).stdout.splitlines())) <= 50


def test_ascii_uses_no_other_character(draw: Draw) -> None:
    assert draw(recorded("Zoë"), "--ascii").stdout.isascii()


def test_bad_lines_are_counted_and_skipped(draw: Draw) -> None:
    done = draw(["", "{", *recorded(), "[1]", "  "])

    assert done.exit_code == 0
    assert "saga release" in done.stdout
    assert done.stderr.startswith("skipped: 2 lines (line 2: no JSON: ")


def test_nothing_but_bad_lines_is_a_failure(draw: Draw) -> None:
    done = draw(["nonsense"])

    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr.startswith("skipped: 1 line (line 1: no JSON: ")


def test_empty_file_has_no_events(draw: Draw) -> None:
    done = draw([])

    assert (done.exit_code, done.stdout, done.stderr) == (0, "", "no events\n")


def test_events_outside_of_any_trace_are_counted(draw: Draw) -> None:
    done = draw([line_of(HypervisorEvent()), event_of("no/!/id"), event_of("no/!/id")])

    assert (done.exit_code, done.stdout) == (0, "")
    assert done.stderr == (
        "left out: 1 event without a causal id\n"
        "left out: 2 events with a causal id that cannot be read\n"
    )


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("x" * (MAX_LINE_BYTES + 1), "longer than"),
        ("[" * 100_000, "nested too deeply"),
        ("1" * 5_000, "Exceeds the limit"),
        ("[]", "expected a JSON object, got list"),
        ("{}", "event_id: expected a string"),
        (event_of("a/b", payload=[1]), "payload: expected an object, got list"),
        (event_of("a/b", timestamp="yesterday"), "yesterday"),
        (event_of("a/b", timestamp="2026-01-01T00:00:00"), "naive timestamp"),
    ],
)
def test_line_that_is_no_event_says_why(line: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        parse_line(line.encode())


def test_line_that_is_no_text_says_where() -> None:
    with pytest.raises(ValueError, match="no UTF-8: invalid start byte at byte 2"):
        parse_line(b'"\xff"')


def test_what_follows_a_line_that_is_too_long_is_read(draw: Draw) -> None:
    done = draw(["x" * (3 * MAX_LINE_BYTES), *recorded()])

    assert "saga release" in done.stdout
    assert done.stderr.startswith("skipped: 1 line (line 1: the line is longer than")


def test_numbers_that_json_lacks_are_kept_as_text(draw: Draw) -> None:
    line = event_of("a/b").replace('"payload": {}', '"payload": {"a": NaN, "b": 1e999, "c": 1.5}')

    (tree,) = json.loads(draw([line], "--json").stdout)["traces"]

    assert tree["spans"][0]["events"][0]["payload"] == {"a": "NaN", "b": "1e999", "c": 1.5}


@pytest.mark.fault("L1")
@pytest.mark.parametrize("options", [[], ["--ascii"], ["--json"], ["--trace", "a"]])
def test_hostile_events_do_not_command_the_terminal(draw: Draw, options: list[str]) -> None:
    step = {"saga_id": HOSTILE, "step_id": HOSTILE, "action": HOSTILE, "error": HOSTILE}
    lines = [
        event_of("a/b", session_id=HOSTILE, agent_did=HOSTILE, payload={HOSTILE: HOSTILE}),
        event_of("a/c/b", event_type="saga.step_failed", payload=step),
        event_of("a/d/b", event_type=HOSTILE),
        event_of(HOSTILE),
        event_of("a/e", timestamp=HOSTILE),
    ]

    done = draw(lines, *options)

    assert done.exit_code == 0
    assert "trace" in done.stdout
    for character in set(done.stdout + done.stderr) - {"\n"}:
        assert unicodedata.category(character) not in {"Cc", "Cf", "Cs", "Zl", "Zp"}


@given(st.binary(max_size=200))
def test_any_line_is_an_event_or_a_value_error(line: bytes) -> None:
    try:
        event = parse_line(line)
    except ValueError:
        return
    assert event is None or isinstance(event, HypervisorEvent)


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda values: st.lists(values, max_size=3) | st.dictionaries(st.text(max_size=3), values),
    max_leaves=5,
)


@given(st.dictionaries(st.sampled_from(sorted(HypervisorEvent().to_dict())), _json))
def test_any_values_of_the_keys_are_an_event_or_a_value_error(values: dict[str, object]) -> None:
    line = json.dumps({**HypervisorEvent().to_dict(), **values}).encode()
    try:
        event = parse_line(line)
    except ValueError:
        return
    assert event is not None
    json.dumps(event.to_dict(), allow_nan=False)


def test_links_need_a_configuration_that_is_right(draw: Draw, tmp_path: Path) -> None:
    config = tmp_path / "hvobs.toml"
    config.write_text("[plugins.jaeger]\nui_url = 5\n")

    assert draw(recorded(), "--links", "--config", str(config)).exit_code == 2
    config.write_text("service = 5\n")
    assert draw(recorded(), "--links", "--config", str(config)).exit_code == 2
