"""``delivery_health``: whether events arrive where they should, and what was lost."""

from collections.abc import Mapping
from itertools import islice
from typing import Any

from .answer import Answer, Item
from .reading import Reading, moment
from .shortening import counted, line, shortened

_MOST_PROCESSES = 16
_READER = ("state", "breaker", "delivered", "rejected", "in_flight", "pending")


def delivery_health(reading: Reading | None, statuses: Mapping[str, Any]) -> Answer:
    """Say how processes deliver, what is wrong, and how far the history goes.

    Args:
        reading: The history; None where it cannot be read.
        statuses: What ``CommandContext.statuses`` gave.
    """
    answer = Answer()
    processes, problems = statuses["processes"], statuses["problems"]
    running = sum(1 for one in processes if one.get("running"))
    if statuses["reason"] is not None:
        answer.notes.append(
            "No process tells how it delivers (why stands below): that needs [state] directory in"
            " the configuration, and hvobs mcp --config FILE. What is recorded can be asked for."
        )
        answer.add_lines("why", [line(statuses["reason"], 400)])
    else:
        answer.notes.append(
            f"{counted(running, 'running process')} of {len(processes):,} that are known;"
            f" {counted(len(problems), 'problem')}."
        )
    if reading is not None:
        _tell_history(answer, reading)
    answer.add("problems", [Item(line(one, 400), {"problem": str(one)}) for one in problems])
    answer.add("processes", [_process(one) for one in processes[:_MOST_PROCESSES]])
    if len(processes) > _MOST_PROCESSES:
        answer.notes.append(f"The first {_MOST_PROCESSES} of {len(processes):,} are told.")
    return answer


def _tell_history(answer: Answer, reading: Reading) -> None:
    runs = reading.runs()
    newest = [entry.event for entry in islice(reading.events(newest_first=True), 1)]
    data: dict[str, Any] = {"place": reading.place, "runs": len(runs)}
    text = f"{line(reading.place, 400)}: {counted(len(runs), 'run')} of processes"
    if newest:
        data["newest_event"] = moment(newest[0].timestamp_ns)
        text += f", newest event {data['newest_event']}"
    else:
        text += ", no event"
    answer.add("history", [Item(text, data)])


def _process(status: Mapping[str, Any]) -> Item:
    readers = {**status.get("plugins", {}), "(metrics)": status.get("metrics", {})}
    told = {
        key: status.get(key)
        for key in ("pid", "role", "service", "state", "running", "emitted", "store", "sources")
    }
    data = {**told, "readers": readers}
    role, service = line(status.get("role", "application")), line(status.get("service", "?"))
    state, emitted = line(status.get("state")), line(status.get("emitted"))
    pid = line(status.get("pid"))
    text = [f"process {pid}, {role} of {service}, {state}: {emitted} events emitted"]
    for name, reader in readers.items():
        numbers = ", ".join(
            f"{key} {line(reader[key])}" for key in _READER if reader.get(key) is not None
        )
        dropped = ", ".join(f"{line(why)} {n}" for why, n in reader.get("dropped", {}).items())
        text.append(f"  {line(name)}: {numbers}{f', dropped: {line(dropped)}' if dropped else ''}")
    return Item("\n".join(text), shortened(data, 3_000))
