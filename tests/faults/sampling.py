"""What is tried of sampling: traces with an incident are kept whole, and little else is."""

import contextlib
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from hypervisor_observability import (
    Config,
    DeliveryConfig,
    EventType,
    FinishedSpan,
    Observability,
    Recorder,
    hookimpl,
)
from tests.faults.figure import Figure, zeros
from tests.faults.measuring import error_of, resident_mib

_RATIO = 0.01
_EVERY = 100
"""One trace in so many has an incident."""


class Traces:
    """Counts the spans of each trace."""

    def __init__(self, name: str, sample_ratio: float) -> None:
        self.name = name
        self.sample_ratio = sample_ratio
        self.spans: Counter[str] = Counter()

    @hookimpl
    def export_spans(self, spans: Sequence[FinishedSpan]) -> None:
        """Count them."""
        self.spans.update(span.trace_id for span in spans)


def _breach(recorder: Recorder) -> None:
    recorder.breach("shell", ring=3, required_ring=0)


def _kill(recorder: Recorder) -> None:
    recorder.security.agent_killed("rogue")


def _slash(recorder: Recorder) -> None:
    recorder.liability.slashed(1.0, severity="high")


def _quarantine(recorder: Recorder) -> None:
    recorder.record(EventType.QUARANTINE_ENTERED, reason="manual")


def _denial(recorder: Recorder) -> None:
    recorder.decision(False, tool_name="shell")


def _escalation(recorder: Recorder) -> None:
    recorder.record(EventType.SAGA_ESCALATED, saga_id="another")


def _error(_: Recorder) -> None:
    raise RuntimeError("no answer")


_INCIDENTS: tuple[Callable[[Recorder], None], ...] = (
    _breach,
    _kill,
    _slash,
    _quarantine,
    _denial,
    _escalation,
    _error,
)


def sampling(*, quick: bool) -> Iterable[Figure]:
    """Record traces of four spans, some with an incident in the last one."""
    # Chance has more to say about fewer traces.
    traces, most = (5_000, 0.03) if quick else (100_000, 0.021)
    everything, sampled = Traces("everything", 1.0), Traces("sampled", _RATIO)
    config = Config(
        delivery=DeliveryConfig(keep_incidents=True, sampling_wait_seconds=1.0),
        stop_timeout_seconds=60,
    )
    incidents: set[str] = set()
    before = resident_mib()
    with Observability(config, plugins=[everything, sampled]) as observability:
        for number in range(traces):
            trace_id = _record(observability.recorder, number)
            if trace_id is not None:
                incidents.add(trace_id)
            if number % 1_000 == 0:
                # Or the log in memory would drop what the plugins have not taken.
                observability.flush(60)
        observability.flush(60)
        growth = resident_mib() - before
    counts = observability.counts()["sampled"]
    whole = everything.spans
    lost = sum(sampled.spans[trace] != whole[trace] for trace in incidents)
    partial = sum(spans != whole[trace] for trace, spans in sampled.spans.items())
    share = sampled.spans.total() / whole.total()
    yield zeros(
        "sampling",
        f"of {len(whole):,} traces, {len(incidents):,} with an incident, ratio {_RATIO:.0%}: "
        "incidents not kept whole; traces kept in part",
        lost,
        partial,
        holds=len(whole) == traces,
    )
    yield Figure(
        fault="sampling",
        what="share of the spans that was kept",
        value=f"{share:.2%}",
        goal=f"≤ {most:.1%}",
        holds=share <= most,
    )
    error = error_of(counts)
    yield Figure(
        fault="sampling",
        what="error of the accounts; growth of resident memory, counts of all spans included",
        value=f"{error:,}; {growth:,.0f} MiB",
        goal="0",
        holds=error == 0,
    )


def _record(recorder: Recorder, number: int) -> str | None:
    """Record a trace; give its wide id if there is an incident in it, after most of its work."""
    incident = _INCIDENTS[number // _EVERY % len(_INCIDENTS)] if number % _EVERY == 0 else None
    with contextlib.suppress(RuntimeError), recorder.agent(f"did:mesh:{number % 97}") as agent:
        with recorder.saga("work") as saga:
            for action in ("prepare", "work"):
                with saga.step(action):
                    pass
        if incident is not None:
            incident(recorder)
    return None if incident is None else agent.trace.to_w3c()[0]
