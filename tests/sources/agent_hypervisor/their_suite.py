"""A plugin of pytest that has the source look on while the tests of agent-hypervisor run.

What was seen is written as JSON to the file that ``HVOBS_SEEN`` names.
"""

import json
import os
from collections import Counter
from pathlib import Path

from hypervisor_agent_hypervisor import AgentHypervisorSource
from hypervisor_observability import HypervisorEvent, Observability
from hypervisor_observability.facts.payload_check import payload_problems

_observability = Observability(plugins=[AgentHypervisorSource()])
_types: Counter[str] = Counter()
_problems: list[str] = []


def _seen(event: HypervisorEvent) -> None:
    _types[event.event_type.value] += 1
    _problems.extend(payload_problems(event))


def pytest_configure() -> None:
    _observability.bus.subscribe(None, _seen)
    _observability.start()


def pytest_unconfigure() -> None:
    status = _observability.status()["sources"]["agent-hypervisor"]
    _observability.stop()
    seen = {"types": _types, "problems": _problems, "source": status}
    Path(os.environ["HVOBS_SEEN"]).write_text(json.dumps(seen))
