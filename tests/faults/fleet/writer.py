"""``python -m tests.faults.fleet.writer CONFIG NAME COUNT RATE``: record numbered events.

It prints how many it has recorded so far, again and again, and ends after COUNT events, at RATE a
second. Each span has five of them.
"""

import sys
import time
from pathlib import Path

from hypervisor_observability import EventType, Observability
from hypervisor_observability.config import load_config

SPAN_EVENTS = 5
NUMBERED = EventType.RING_BREACH_DETECTED
_PAUSE_SECONDS = 0.02


def write(config: Path, name: str, count: int, rate: float) -> None:
    """Record them."""
    agent = f"did:mesh:{name.partition('.')[0]}"
    with Observability(load_config(config)) as observability:
        begun, done = time.monotonic(), 0
        while done < count:
            due = min(count, int((time.monotonic() - begun) * rate) + 1)
            while done < due:
                done = _record_span(
                    observability, agent, name, done, min(done + SPAN_EVENTS, count)
                )
            print(done, flush=True)
            time.sleep(_PAUSE_SECONDS)


def _record_span(observability: Observability, agent: str, name: str, first: int, end: int) -> int:
    with observability.recorder.agent(agent):
        for number in range(first, end):
            observability.bus.record(
                NUMBERED, event_id=f"{name}.{number}", agent_did=agent, session_id="s"
            )
    return end


if __name__ == "__main__":
    write(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), float(sys.argv[4]))
