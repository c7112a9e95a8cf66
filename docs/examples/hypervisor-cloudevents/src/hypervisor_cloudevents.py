"""A plugin that writes each event as a CloudEvent 1.0, one line of JSON each."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hypervisor_observability import HypervisorEvent, RetryLater, hookimpl
from hypervisor_observability.errors import SettingError


@dataclass(frozen=True)
class CloudEventsConfig:
    """The table ``[plugins.cloudevents]``. Event types get a prefix: a DNS name of yours."""

    file: Path
    source: str = "/hypervisor"
    type_prefix: str = "com.example.hypervisor."

    def __post_init__(self) -> None:
        if not self.source:
            raise SettingError("source", "expected a URI reference, got an empty string")


class CloudEventsPlugin:
    api_version = 1
    Config = CloudEventsConfig

    def __init__(self, config: CloudEventsConfig) -> None:
        self.config = config

    @hookimpl
    def export_events(self, events: Sequence[HypervisorEvent]) -> None:
        lines = [f"{json.dumps(self._cloud_event(event))}\n" for event in events]
        try:
            with self.config.file.open("a", encoding="utf-8") as file:
                file.write("".join(lines))
        except OSError as error:
            raise RetryLater(str(error)) from error

    def _cloud_event(self, event: HypervisorEvent) -> dict[str, Any]:
        # id, source, specversion and type are required (CloudEvents 1.0.2, "Required Attributes").
        plain = event.to_dict()
        attributes = {
            "specversion": "1.0",
            "id": event.event_id,
            "source": self.config.source,
            "type": f"{self.config.type_prefix}{plain['event_type']}",
            "time": plain["timestamp"],
            # An attribute is left out rather than null or empty; names of extensions have no "_".
            "subject": event.agent_did,
            "hypervisortrace": event.causal_trace_id,
            "datacontenttype": "application/json",
        }
        return {key: value for key, value in attributes.items() if value} | {
            "data": plain["payload"]
        }
