"""The course of the demonstration: plugins up, work done, backends asked, all taken down."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from attrs import frozen

from ...config import Config
from ...events.event import HypervisorEvent
from ...events.event_types import EventType
from ...host.discovery import installed_plugins
from ...host.observability import Observability
from ...host.plugins import SHIPPED
from ...host.reader_group import METRICS
from .backends import Backend
from .comparison import Emitted, Received
from .project import Project
from .release import Release, Say
from .report import DemoReport, PluginReport, judge

FLUSH_SECONDS = 4.0
"""How long the backends are given to take everything."""

SERVICE = "hvobs-demo"

NOT_INSTALLED = "not installed"


@frozen
class Demonstration:
    """What has happened.

    Attributes:
        report: Whether all of it came through.
        events: Every event, in order.
    """

    report: DemoReport
    events: tuple[HypervisorEvent, ...]


def demonstrate(
    folder: Path,
    say: Say,
    *,
    observability: Observability | None = None,
    backends: Mapping[str, Backend] | None = None,
) -> Demonstration:
    """Do the work in *folder*, and see what becomes of its events.

    Args:
        folder: An empty one.
        say: Is told each thing that happens, in a line.
        observability: With the user's own backends, not started; None: with *backends*.
        backends: The backends inside the command by plugin; those not installed are left out.

    Raises:
        ConfigError: An installed plugin cannot be used.
    """
    began = time.monotonic()
    with _running(backends or {}, say) as (listening, left_out):
        if observability is None:
            tables = {name: dict(backend.table()) for name, backend in listening.items()}
            observability = Observability(Config(service=SERVICE, plugins=tables))
        with observability:
            for name, state in observability.states().items():
                if state != "running":
                    say(f"{name} is {state}")
            release = Release(observability.recorder, Project.write(folder), say)
            observability.governance.register_trust_score_gauge(release.trust_scores)
            observability.governance.register_active_agents_gauge(
                lambda: len(release.trust_scores())
            )
            release.run()
            say("the work is done; waiting until every backend has all of it")
            observability.flush(FLUSH_SECONDS)
            events = tuple(observability.bus.all_events)
            emitted = Emitted.of(events)
            reports = [*_reports(observability, emitted, listening), *left_out]
    order = [*SHIPPED]
    reports.sort(key=lambda one: order.index(one.name) if one.name in order else len(order))
    report = DemoReport(
        trace_id=release.trace_id,
        emitted=emitted,
        sagas=_outcomes(events),
        plugins=tuple(reports),
        problems=(*release.problems, *_unended(emitted)),
        seconds=time.monotonic() - began,
    )
    return Demonstration(report, events)


@contextmanager
def _running(
    backends: Mapping[str, Backend], say: Say
) -> Iterator[tuple[dict[str, Backend], list[PluginReport]]]:
    """Start the backends of installed plugins; give them, and reports on those left out."""
    installed = installed_plugins() if backends else {}
    listening: dict[str, Backend] = {}
    left_out: list[PluginReport] = []
    try:
        for name, backend in backends.items():
            if name not in installed:
                left_out.append(PluginReport(name=name, state=NOT_INSTALLED))
                continue
            try:
                backend.start()
            except (OSError, ImportError) as error:
                problem = f"its receiver cannot start: {error}"
                say(f"{name}: {problem}")
                left_out.append(PluginReport(name=name, state="off", problems=(problem,)))
            else:
                listening[name] = backend
        yield listening, left_out
    finally:
        for backend in listening.values():
            backend.stop()


def _reports(
    observability: Observability, emitted: Emitted, backends: Mapping[str, Backend]
) -> Iterator[PluginReport]:
    received: dict[str, Received | None] = {}
    unasked: dict[str, str] = {}
    states = observability.states()
    for name, state in states.items():
        if name in backends and state == "running":
            try:
                received[name] = backends[name].received(emitted, observability.plugin(name))
            except OSError as error:
                unasked[name] = f"the backend cannot be asked: {error}"
    counts = observability.counts()
    for name, state in states.items():
        report = judge(name, state, counts[name], received.get(name))
        if name in unasked:
            problems = (*report.problems, unasked[name])
            report = PluginReport(name=name, state=state, counts=counts[name], problems=problems)
        yield report
    # Disabled, nothing is loaded, so nothing has a state.
    for name in backends.keys() - states.keys():
        yield PluginReport(name=name, state="off: HYPERVISOR_OBSERVABILITY_DISABLED is set")
    broken = judge(METRICS, "running", counts[METRICS], None)
    if broken.problems:
        yield broken


def _unended(emitted: Emitted) -> list[str]:
    return [f"{emitted.open_spans} spans never ended"] if emitted.open_spans else []


def _outcomes(events: tuple[HypervisorEvent, ...]) -> dict[str, str]:
    ends = {EventType.SAGA_COMPLETED, EventType.SAGA_ESCALATED}
    return {
        str(event.payload["saga_id"]): str(event.payload["outcome"])
        for event in events
        if event.event_type in ends
    }
