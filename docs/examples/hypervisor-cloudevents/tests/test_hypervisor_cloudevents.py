"""The contract of plugins, and what CloudEvents asks for."""

import json
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from hypervisor_cloudevents import CloudEventsConfig, CloudEventsPlugin
from hypervisor_observability import EventType, Observability
from hypervisor_observability.testing import PluginContract


class TestCloudEvents(PluginContract):
    def make_plugin(self) -> object:
        return CloudEventsPlugin(CloudEventsConfig(self.directory / "events.jsonl"))

    def settings(self) -> Mapping[str, Any]:
        return {"file": "events.jsonl"}

    def arrived(self) -> Sequence[str]:
        file = self.directory / "events.jsonl"
        return self.ids_in(*file.read_text("utf-8").splitlines()) if file.exists() else []


def test_line_is_a_cloud_event(tmp_path: Path) -> None:
    plugin = CloudEventsPlugin(CloudEventsConfig(tmp_path / "events.jsonl"))
    with Observability(plugins=[plugin]) as observability:
        event = observability.bus.record(EventType.VFS_WRITE, payload={"path": "/srv/x"})
        observability.bus.record(
            EventType.VFS_WRITE, agent_did="did:a", causal_trace_id="0123456789ab/00000001"
        )
        assert observability.flush(timeout=60)

    first, second = map(json.loads, (tmp_path / "events.jsonl").read_text().splitlines())
    assert first == {
        "specversion": "1.0",
        "id": event.event_id,
        "source": "/hypervisor",
        "type": "com.example.hypervisor.vfs.write",
        "time": event.timestamp.isoformat(),
        "datacontenttype": "application/json",
        "data": {"path": "/srv/x"},
    }
    assert datetime.fromisoformat(first["time"]).tzinfo is not None
    assert second["subject"] == "did:a"
    assert second["hypervisortrace"] == "0123456789ab/00000001"
    # "Attribute Naming Convention": lower-case letters and digits alone.
    assert all(re.fullmatch("[a-z0-9]{1,20}", name) for name in second)


def test_source_must_not_be_empty(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="expected a URI reference"):
        CloudEventsConfig(tmp_path / "x", source="")
