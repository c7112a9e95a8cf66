"""Record what the page is to show, in a process of its own; told line by line what to do.

Usage: python -m benchmarks.web.recorded JOURNAL. Reads lines and answers each in JSON:

    events N          N events of agents at work, as fast as it goes
    trace N           a trace of N pieces of work, as fast as it goes; answers its id
    steady RATE S     RATE events a second for S seconds; answers when each was emitted
    tool NAME         begins a call of a tool, and ends it at the next line
"""

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack

from hypervisor_observability import Config, EventType, Observability, Recorder

_AGENTS = 40
_TOOLS = ("search", "read_file", "write_file", "shell", "fetch")


def steps(recorder: Recorder, run: str) -> Iterator[object]:
    """Work of an agent, a piece at each turn, until the reader has enough."""
    number = 0
    with recorder.session(f"session-{run}"):
        while True:
            name = f"worker-{number % _AGENTS}"
            with recorder.agent(f"did:mesh:{name}", name=name, ring=2) as agent:
                yield agent
                for turn in range(9):
                    number += 1
                    if turn % 3 == 0:
                        with recorder.model("m-1", provider="acme"):
                            recorder.usage(model="m-1", input_tokens=900, output_tokens=60)
                    else:
                        tool = _TOOLS[number % len(_TOOLS)]
                        with recorder.tool(tool, arguments={"path": f"src/{number}.py"}) as call:
                            if number % 97 == 0:
                                call.block("not in this ring")
                    yield agent


def record_events(observability: Observability, count: int) -> dict[str, object]:
    """Record *count* events, and a few more that end the work."""
    before = observability.bus.event_count
    run = 0
    while observability.bus.event_count - before < count:
        run += 1
        work = steps(observability.recorder, str(run))
        for _ in range(500):
            next(work)
            if observability.bus.event_count - before >= count:
                break
        work.close()  # type: ignore[attr-defined]  # it is a generator
    return {"events": observability.bus.event_count - before}


def record_trace(observability: Observability, pieces: int) -> dict[str, object]:
    """Record one trace of *pieces*: a run with agents, each with calls."""
    recorder = observability.recorder
    with recorder.run("large") as run:
        made = 1
        work = steps(recorder, "large")
        while made < pieces:
            next(work)
            made += 1
        work.close()  # type: ignore[attr-defined]  # it is a generator
        return {"trace": str(run.trace.trace_id), "pieces": made}


def record_steadily(observability: Observability, rate: float, seconds: float) -> dict[str, object]:
    """Emit events at even distances; give when each was emitted, in seconds since the epoch."""
    emitted: list[float] = []
    record, now = observability.bus.record, time.time
    began = time.perf_counter()
    for number in range(int(rate * seconds)):
        due = began + number / rate
        while (left := due - time.perf_counter()) > 0:
            time.sleep(left)
        emitted.append(round(now(), 4))
        record(
            EventType.VFS_WRITE,
            session_id=f"session-{number % 20}",
            agent_did=f"did:mesh:worker-{number % _AGENTS}",
            payload={"path": f"src/steady-{number}.py"},
        )
    return {"emitted": emitted}


def record_tool(observability: Observability, name: str) -> dict[str, object]:
    """Begin a call of a tool, tell when, and end it at the next line."""
    with observability.recorder.agent("did:mesh:worker-1", name="worker-1") as agent:
        began = time.time()
        with observability.recorder.tool(name):
            _answer({"began": began, "trace": str(agent.trace.trace_id)})
            sys.stdin.readline()
    return {"ended": time.time()}


def main() -> None:
    config = Config(plugins={"journal": {"directory": sys.argv[1]}})
    doing: dict[str, Callable[..., dict[str, object]]] = {
        "events": lambda o, count: record_events(o, int(count)),
        "trace": lambda o, count: record_trace(o, int(count)),
        "steady": lambda o, rate, seconds: record_steadily(o, float(rate), float(seconds)),
        "tool": record_tool,
    }
    with ExitStack() as stack:
        observability = stack.enter_context(Observability(config))
        for line in iter(sys.stdin.readline, ""):
            word, *rest = line.split()
            answer = doing[word](observability, *rest)
            observability.flush(timeout=60)
            _answer(answer)


def _answer(value: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
