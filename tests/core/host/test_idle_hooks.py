"""Hooks that the configuration of a plugin leaves without work cost nothing."""

from collections.abc import Sequence
from typing import Any

import pytest

from hypervisor_observability import FinishedSpan, HypervisorEvent, Observability, hookimpl
from hypervisor_observability.config import DeliveryConfig
from hypervisor_observability.gate import PayloadPolicy
from hypervisor_observability.host.plugin_checks import checked

ALL = {"export_events", "export_spans", "export_metrics"}


class Exporter:
    """Counts calls of each hook, but for those that it says are idle."""

    default_payload = ("nothing of it",)

    def __init__(self, idle_hooks: Any) -> None:
        self.idle_hooks = idle_hooks
        self.calls: dict[str, int] = {}

    @hookimpl
    def export_events(self, events: Sequence[HypervisorEvent]) -> None:
        self.calls["export_events"] = self.calls.get("export_events", 0) + 1

    @hookimpl
    def export_spans(self, spans: Sequence[FinishedSpan]) -> None:
        self.calls["export_spans"] = self.calls.get("export_spans", 0) + len(spans)

    @hookimpl
    def export_metrics(self, metrics: object) -> None:
        self.calls["export_metrics"] = self.calls.get("export_metrics", 0) + 1


@pytest.mark.parametrize("idle", [set(), *({hook} for hook in sorted(ALL)), ALL])
def test_idle_hooks_are_not_called_and_all_others_are(idle: set[str]) -> None:
    plugin = Exporter(idle)
    with Observability(plugins=[plugin]) as observability:
        with observability.recorder.saga("order") as saga, saga.step("pay"):
            pass
        assert observability.flush(20)
        assert plugin.calls.keys() == ALL - idle
        (name,) = observability.states()
        counts = observability.counts()[name]
    assert (counts.delivered, counts.in_flight, counts.pending) == (counts.emitted, 0, 0)


@pytest.mark.parametrize("idle", [set[str](), {"export_events"}])
def test_event_is_copied_only_for_a_hook_that_takes_it(
    idle: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    copied: list[HypervisorEvent] = []
    apply = PayloadPolicy.apply

    def counting(policy: PayloadPolicy, event: HypervisorEvent) -> HypervisorEvent:
        copied.append(event)
        return apply(policy, event)

    monkeypatch.setattr(PayloadPolicy, "apply", counting)
    with Observability(plugins=[Exporter(idle)]) as observability:
        with observability.recorder.saga("order"):
            pass
        assert observability.flush(20)
    assert len(copied) == (0 if idle else 2)


@pytest.mark.parametrize("idle", ["export_events", {"stop"}, {"export_event"}, 7, None])
def test_what_names_no_export_hook_is_refused(idle: object) -> None:
    with pytest.raises(ValueError, match="idle_hooks: expected a set of export_events, export_m"):
        checked("odd", Exporter(idle), DeliveryConfig())
