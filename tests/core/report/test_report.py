"""A report tells what happened, and is harmless whatever names hold."""

import math
import re
import tracemalloc
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from hypervisor_observability import Config, EventType, HypervisorEvent, Observability
from hypervisor_observability.events.event_types import (
    AGENT_HANDOFF,
    GOVERNANCE_DECISION,
    MODEL_FINISHED,
    RUN_FINISHED,
    TOOL_FINISHED,
    USAGE_RECORDED,
)
from hypervisor_observability.report import Findings, report_page, saga_census, timeline
from hypervisor_observability.report.timeline import Timeline
from tests.commands import run_hvobs

START = 1_800_000_000.0
HOSTILE = (
    "<script>document.title='owned'</script>",
    '"><img src=x onerror="document.title=\'owned\'">',
    "</svg></style></title><script>document.title='owned'</script>",
    "&lt;b&gt;",
    "javascript:document.title='owned'",
    "x" * 300,
    "وكيل التحليل",
    "\u202eevil\u2066",
    "\ud800",
    "nul\0 line\nbreak",
)


def event(
    kind: EventType,
    at: float = 0,
    agent: str = "did:a",
    causal: str | None = None,
    **payload: object,
) -> HypervisorEvent:
    return HypervisorEvent(
        event_type=kind,
        agent_did=agent,
        timestamp=START + at,
        session_id="s",
        causal_trace_id=causal,
        payload=payload,
    )


def told(*events: HypervisorEvent) -> Findings:
    return Findings.of(events)


class Reader(HTMLParser):
    """Collects the elements and the texts of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def hostile_events(name: str) -> list[HypervisorEvent]:
    return [
        event(EventType.RING_ASSIGNED, 0, name, to_ring=1),
        event(EventType.RING_BREACH_DETECTED, 1, name, severity=name),
        event(GOVERNANCE_DECISION, 2, name, allowed=False),
        event(EventType.IDENTITY_VERIFIED, 2, name, iatp_trust_score=7),
        event(EventType.SAGA_CREATED, 3, name, saga_id=name),
        event(EventType.SAGA_STEP_STARTED, 4, name, saga_id=name, step_id="1", action=name),
        event(EventType.SAGA_ESCALATED, 5, name, saga_id=name, outcome=name),
        event(RUN_FINISHED, 5, name, name=name, error=name, error_type=name),
        event(TOOL_FINISHED, 5, name, tool_name=name, status="blocked", reason=name),
        event(MODEL_FINISHED, 5, name, model=name, status="error", error=name),
        event(USAGE_RECORDED, 5, name, model=name, cost=1, currency=name),
        event(AGENT_HANDOFF, 5, name, from_agent=name, to_agent=name),
    ]


ELEMENTS = {
    *("html", "head", "meta", "title", "style", "body", "h1", "h2", "h3", "p", "main", "section"),
    *("svg", "rect", "line", "text", "ul", "li", "b", "bdi", "div", "a", "span"),
}


@pytest.mark.fault("L5")
@given(st.one_of(st.sampled_from(HOSTILE), st.text()))
def test_no_name_makes_an_element_of_its_own(name: str) -> None:
    caused = [evolve(one, causal_trace_id="t0/s0") for one in hostile_events(name)]
    page = report_page(Findings.of(caused), name)
    read = Reader(page)

    page.encode()  # nothing that UTF-8 cannot carry
    assert {tag for tag, _ in read.elements} <= ELEMENTS
    for _, attributes in read.elements:
        assert not {"style", "src"} & set(attributes)
        assert re.fullmatch(r"#t\d+", attributes.get("href") or "#t1")
        assert not [one for one in attributes if one.startswith("on")]
    assert "\u202e" not in page


def test_policy_allows_nothing_but_the_pages_own_style() -> None:
    read = Reader(report_page(Findings(), "j"))
    policy = next(
        attributes["content"] or ""
        for tag, attributes in read.elements
        if tag == "meta" and attributes.get("http-equiv") == "Content-Security-Policy"
    )

    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in policy


def test_empty_journal_says_so() -> None:
    page = report_page(Findings(), "j")

    assert "There are no events." in page
    assert "<section" not in page


def test_nothing_is_drawn_of_what_did_not_occur() -> None:
    page = report_page(told(event(TOOL_FINISHED, tool_name="search")), "j")
    titles = re.findall("<h2>(.*?)</h2>", page)

    assert titles == ["Tools"]
    assert "Nothing was recorded of:" in page
    assert "ring transitions" in page


def test_one_event_is_a_report() -> None:
    page = report_page(told(event(EventType.RING_BREACH_DETECTED, severity="high")), "j")

    assert "1 events from 2027-01-15 08:00:00" in page
    assert "1 a minute" in page


def test_rings_elevations_and_decisions_are_counted() -> None:
    found = told(
        event(EventType.RING_ASSIGNED, 0, ring=3),
        event(EventType.RING_ELEVATED, 1, to_ring=0),
        event(EventType.RING_DEMOTED, 3.5, to_ring=3),
        event(EventType.RING_ELEVATION_EXPIRED, 4, to_ring=True),
        event(EventType.RING_ASSIGNED, 4, "did:b", to_ring=0),
        event(GOVERNANCE_DECISION, 5, allowed=True),
        event(GOVERNANCE_DECISION, 6, allowed=False),
    )

    assert found.rings == {"did:a": 3, "did:b": 0}
    assert found.elevations == [0, 1, 0, 0, 0, 0, 0]
    assert found.decisions == {"allowed": 1, "denied": 1}
    assert found.allowed_by_agent == {"did:a": [1, 1]}
    page = report_page(found, "j")
    assert "50%" in page
    assert "ring 0" in page


def test_trust_is_that_of_the_last_check() -> None:
    def verified(second: float, agent: str, score: object) -> HypervisorEvent:
        return event(EventType.IDENTITY_VERIFIED, second, agent, iatp_trust_score=score)

    odd = [math.nan, math.inf, -1, True, "7", None, 10**400]
    found = told(
        verified(0, "did:a", 3),
        verified(1, "did:b", 9.5),
        verified(2, "did:a", 4),
        *(verified(3, "did:a", score) for score in odd),
    )

    assert found.trust_by_agent == {"did:a": 4, "did:b": 9.5}
    text = " ".join(Reader(report_page(found, "j")).texts)
    assert text.index("did:a") < text.index("did:b")
    assert "9.5" in text


def test_saga_is_told_with_what_was_undone() -> None:
    saga = {"saga_id": "g"}
    found = told(
        event(EventType.SAGA_CREATED, 0, **saga),
        event(EventType.SAGA_STEP_STARTED, 0, step_id="1", action="reserve", **saga),
        event(EventType.SAGA_STEP_COMMITTED, 1, step_id="1", **saga),
        event(EventType.SAGA_STEP_STARTED, 1, step_id="2", action="pay", **saga),
        event(EventType.SAGA_STEP_FAILED, 2, step_id="2", **saga),
        event(
            EventType.SAGA_COMPENSATING,
            2,
            step_id="c1",
            step_action="reserve",
            compensates_step_id="1",
            phase="started",
            **saga,
        ),
        event(
            EventType.SAGA_COMPENSATING,
            3,
            step_id="c1",
            compensates_step_id="1",
            phase="succeeded",
            **saga,
        ),
        event(EventType.SAGA_COMPLETED, 3, outcome="compensated", **saga),
    )
    story = found.sagas["g"]

    assert [(piece.title, piece.state) for piece in story.pieces] == [
        ("reserve", "undone"),
        ("pay", "failed"),
        ("undo reserve", "compensated"),
    ]
    assert found.outcomes == {"compensated": 1}
    page = report_page(found, "j")
    assert "compensated, 3.00 s" in page
    assert "undo reserve" in page


def test_compensation_that_failed_and_one_without_phases_are_told() -> None:
    found = told(
        event(EventType.SAGA_COMPENSATING, 0, saga_id="g", step_id="1", phase="failed"),
        event(EventType.SAGA_COMPENSATING, 1, saga_id="g", step_id="2", action="undo it"),
        event(EventType.SAGA_ESCALATED, 1, saga_id="g"),
    )

    pieces = found.sagas["g"].pieces
    assert [(piece.title, piece.state) for piece in pieces] == [
        ("undo 1", "failed"),
        ("undo it", "compensated"),
    ]
    assert found.outcomes == {"escalated": 1}


def test_times_that_go_backwards_give_no_negative_lengths() -> None:
    found = told(
        event(EventType.RING_ELEVATED, 9, to_ring=0),
        event(EventType.RING_DEMOTED, 3, to_ring=3),
        event(EventType.SAGA_STEP_STARTED, 9, saga_id="g", step_id="1"),
        event(EventType.SAGA_STEP_COMMITTED, 2, saga_id="g", step_id="1"),
        event(EventType.SAGA_STEP_STARTED, 1, saga_id="g", step_id="2"),
    )

    assert found.elevations == [1, 0, 0, 0, 0, 0, 0]
    page = report_page(found, "j")
    sizes = re.findall(r'(?:width|height|x|y)="(-?[\d.]+)"', page)
    assert sizes
    assert min(map(float, sizes)) >= 0


def test_many_agents_sagas_and_steps_are_cut_and_counted() -> None:
    found = Findings()
    for number in range(30):
        found.take(event(EventType.RING_ASSIGNED, number, f"did:{number}", to_ring=2))
        found.take(event(EventType.SAGA_CREATED, number, saga_id=f"g{number}"))
    for number in range(70):
        found.take(event(EventType.SAGA_STEP_STARTED, 40, saga_id="g29", step_id=str(number)))
    page = report_page(found, "j")

    assert len(found.sagas) == 20
    assert "10 older ones are not drawn" in page
    assert "and 18 more" in page  # agents
    assert "and 10 more" in page  # steps


def test_page_does_not_grow_with_the_events() -> None:
    def size(count: int) -> int:
        found = Findings()
        for number in range(count):
            agent, saga = f"did:{number % 50}", f"g{number // 100}"
            found.take(event(EventType.RING_ASSIGNED, number, agent, to_ring=number % 4))
            found.take(event(EventType.RING_BREACH_DETECTED, number, agent, severity="low"))
            found.take(
                event(EventType.SAGA_STEP_STARTED, number, saga_id=saga, step_id=str(number))
            )
        return len(report_page(found, "j"))

    assert size(10_000) < 1.1 * size(2_500)


def side_by_side(count: int, name: str = "g{}") -> list[HypervisorEvent]:
    sagas = [name.format(number) for number in range(count)]
    return [
        *(event(EventType.SAGA_CREATED, 0, saga_id=one) for one in sagas),
        *(event(EventType.SAGA_STEP_STARTED, 1, saga_id=one, step_id="1") for one in sagas),
        *(event(EventType.SAGA_STEP_COMMITTED, 2, saga_id=one, step_id="1") for one in sagas),
        *(event(EventType.SAGA_COMPLETED, 3, saga_id=one) for one in sagas),
    ]


@pytest.mark.parametrize("count", [1, 20, 21, 300])
def test_sagas_side_by_side_are_counted_once_and_drawn_whole(count: int) -> None:
    found = told(*side_by_side(count))

    assert found.sagas_seen == count
    assert found.outcomes == {"committed": count}
    assert list(found.sagas) == [f"g{number}" for number in range(max(0, count - 20), count)]
    assert {len(story.pieces) for story in found.sagas.values()} == {1}
    assert ("older ones" in report_page(found, "j")) == (count > 20)


def test_saga_that_ends_twice_is_counted_once() -> None:
    found = told(
        event(EventType.SAGA_ESCALATED, 0, saga_id="g"),
        event(EventType.SAGA_COMPLETED, 1, saga_id="g", outcome="compensated"),
        event(EventType.SAGA_COMPLETED, 2, saga_id="g", outcome="compensated"),
    )

    assert found.outcomes == {"compensated": 1}


def test_step_that_is_left_out_is_counted_once() -> None:
    kinds = (EventType.SAGA_STEP_STARTED, EventType.SAGA_STEP_COMMITTED)
    steps = [
        event(kind, number, saga_id="g", step_id=str(number))
        for number in range(70)
        for kind in kinds
    ]

    assert told(*steps).sagas["g"].left_out == 10


def test_report_says_where_it_stopped_counting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(saga_census, "MOST_COUNTED", 25)
    found = told(*side_by_side(30))

    assert found.sagas_seen == 25
    assert "5 or more older ones are not drawn" in report_page(found, "j")


def test_page_does_not_grow_with_what_payloads_say() -> None:
    def size(count: int) -> int:
        found = told(
            *(event(EventType.RING_BREACH_DETECTED, n, severity=f"s{n}") for n in range(count)),
            *(
                event(EventType.SAGA_COMPLETED, n, saga_id=f"{n}", outcome=f"o{n}")
                for n in range(count)
            ),
        )
        assert len(found.breaches) == count
        assert found.breaches.kinds == {"unknown": count}
        assert found.outcomes == {"committed": count}
        return len(report_page(found, "j"))

    assert size(2_000) < 1.2 * size(500)


def test_findings_do_not_grow_with_the_events() -> None:
    def size(count: int) -> int:
        tracemalloc.start()
        found = Findings()
        for n in range(count):
            found.take(event(EventType.RING_BREACH_DETECTED, n, severity="low"))
            found.take(event(EventType.RING_ELEVATED, n, to_ring=0))
            found.take(event(EventType.RING_DEMOTED, n, to_ring=3))
        now = tracemalloc.get_traced_memory()[0]
        tracemalloc.stop()
        return now

    assert size(24_000) < 1.5 * size(6_000)


@given(
    st.lists(st.tuples(st.integers(-(10**18), 10**18), st.sampled_from("abc")), max_size=200),
    st.integers(1, 20),
)
def test_timeline_loses_no_moment_and_keeps_to_its_bins(
    moments: list[tuple[int, str]], most: int
) -> None:
    line = Timeline()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(timeline, "_MOST_BINS", 6 * most)
        for moment, kind in moments:
            line.add(moment, kind)

    found = sorted(line)
    assert len(found) <= 6 * most
    assert line.kinds == Counter(kind for _, kind in moments)
    for kind in line.kinds:
        times = sorted(moment for moment, one in moments if one == kind)
        told_at = sorted(at for at, one, count in found if one == kind for _ in range(count))
        unit = line._unit_ns
        assert all(at <= moment < at + unit for at, moment in zip(told_at, times, strict=True))


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    directory = tmp_path / "journal"
    config = Config(plugins={"journal": {"directory": directory}})
    with Observability(config) as observability:
        for name in HOSTILE:
            for one in hostile_events(name):
                observability.bus.emit(one)
    return directory


def test_command_writes_a_file_or_to_stdout(journal: Path, tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    run = run_hvobs("report", "--journal", journal, "--output", file)
    shown = run_hvobs("report", "--journal", journal)

    assert run.exit_code == 0, run.output
    assert shown.exit_code == 0
    assert file.read_text("utf-8") == shown.stdout
    assert f"{12 * len(HOSTILE)} events" in shown.stdout


def test_command_takes_only_the_events_that_are_asked_for(journal: Path) -> None:
    shown = run_hvobs("report", "--journal", journal, "--type", "ring.assigned")

    assert f"{len(HOSTILE)} events" in shown.stdout


def test_damaged_journal_is_told_and_reported_as_far_as_it_goes(journal: Path) -> None:
    segment = next(path for path in journal.rglob("*") if path.stat().st_size > 4096)
    data = bytearray(segment.read_bytes())
    data[3000] ^= 0xFF
    segment.write_bytes(data)
    shown = run_hvobs("report", "--journal", journal)

    assert shown.exit_code == 1
    assert "cannot be read" in shown.stderr
    assert shown.stdout.endswith("</html>\n")


def test_attempts_at_a_step_are_told_apart() -> None:
    started, failed = EventType.SAGA_STEP_STARTED, EventType.SAGA_STEP_FAILED
    (story,) = told(
        event(started, 0, saga_id="g", step_id="1", attempt=1),
        event(started, 1, saga_id="g", step_id="1", attempt=2),
        event(failed, 2, saga_id="g", step_id="1", attempt=1),
        event(EventType.SAGA_STEP_COMMITTED, 3, saga_id="g", step_id="1"),
    ).sagas.values()

    assert [piece.state for piece in story.pieces] == ["failed", "committed"]
