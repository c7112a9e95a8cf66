"""Sources that tell something else than what happens, with the tests in which that shows."""

import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from hypervisor_observability.events.event_types import AGENT_HANDOFF, USAGE_RECORDED
from hypervisor_observability.recorder import HERE
from hypervisor_observability.sources import SourceContext
from tests.crew.crew_source import Watching
from tests.crew.faults import Faults

FAULTS = Faults()
fails = FAULTS.fails

STREAMS = (
    "stream_that_is_closed_early_leaves_nothing_open",
    "stream_that_is_dropped_leaves_nothing_open",
    "many_abandoned_streams_leave_nothing_open",
)
PARALLEL = (
    "runs_in_threads_do_not_mix",
    "runs_in_tasks_do_not_mix",
    "runs_in_loops_of_many_threads_do_not_mix",
)
AT_ONCE = (
    "tools_that_are_called_at_once_stand_below_their_agent",
    "what_tools_record_that_are_called_at_once_stands_below_each",
)
CANCELLED = (
    "cancelled_tool_is_cancelled_and_so_is_its_agent",
    "cancelled_model_is_cancelled_and_so_is_its_agent",
)


@fails("tool_that_raises_has_failed", "no_context_is_left_behind")
class ForgetsToolsThatRaise(Watching):
    def ended(self, number: str, error: BaseException | None, told: Mapping[str, Any]) -> None:
        if not (number.startswith("tool") and isinstance(error, Exception)):
            super().ended(number, error, told)


@fails(*CANCELLED, *STREAMS)
class KnowsNoErrorsButExceptions(Watching):
    def ended(self, number: str, error: BaseException | None, told: Mapping[str, Any]) -> None:
        if error is None or isinstance(error, Exception):
            super().ended(number, error, told)


@fails(*CANCELLED, *STREAMS[:2])
class TakesEveryEndForAnError(Watching):
    def ended(self, number: str, error: BaseException | None, told: Mapping[str, Any]) -> None:
        super().ended(number, None if error is None else RuntimeError(str(error)), told)


@fails("model_that_raises_has_failed")
class TakesNoModelForFailed(Watching):
    def ended(self, number: str, error: BaseException | None, told: Mapping[str, Any]) -> None:
        lost = number.startswith("model") and isinstance(error, Exception)
        super().ended(number, None if lost else error, told)


@fails("refused_tool_is_blocked")
class TakesRefusalsForFailures(Watching):
    def ended(self, number: str, error: BaseException | None, told: Mapping[str, Any]) -> None:
        refused = RuntimeError("not allowed") if "refused" in told else error
        super().ended(number, refused, {key: told[key] for key in told if key != "refused"})


@fails(*PARALLEL)
class TakesTheLastAgentForTheParent(Watching):
    last: str | None = None

    def open(self, kind: Any, number: str, parent: str | None, says: dict[str, Any]) -> None:
        if kind == "tool":
            parent = self.last
        elif kind == "agent":
            self.last = number
        super().open(kind, number, parent, says)


@fails("no_context_is_left_behind_in_a_task")
class ActivatesEverything(Watching):
    def open(self, kind: Any, number: str, parent: str | None, says: dict[str, Any]) -> None:
        self.context.recorder.open(kind, number, parent or HERE, activate=True, **says)


@fails(
    "what_a_tool_records_stands_below_it",
    "what_an_asynchronous_tool_records_stands_below_it",
    AT_ONCE[1],
    *PARALLEL,
)
class ActivatesNothing(Watching):
    def open(self, kind: Any, number: str, parent: str | None, says: dict[str, Any]) -> None:
        self.context.recorder.open(kind, number, parent or HERE, **says)


@fails("usage_is_counted_once")
class ReportsUsageTwice(Watching):
    def used(self, number: str, read: int, written: int) -> None:
        super().used(number, read, written)
        super().used(number, read, written)


@fails("handoff_is_seen")
class MissesHandoffs(Watching):
    def handed(self, number: str, to: str) -> None:
        """Nothing of it."""


@fails(
    "handoff_is_seen",
    "agents_have_the_ids_of_the_table",
    "usage_is_counted_once",
    "application_gets_what_it_gets_without_the_source",
)
class RaisesAtHandoffs(Watching):
    def handed(self, number: str, to: str) -> None:
        raise AttributeError(f"{to} has no name")


@fails("agents_have_the_ids_of_the_table")
class KnowsAgentsByName(Watching):
    def open(self, kind: Any, number: str, parent: str | None, says: dict[str, Any]) -> None:
        if kind == "agent":
            says["agent_did"] = says["name"]
        super().open(kind, number, parent, says)


@fails(
    "content_none_leaves_out_everything",
    "content_names_gives_the_names_of_arguments",
    "huge_prompts_are_no_trouble",
)
class TellsAllContent(Watching):
    def began(self, kind: str, number: str, parent: str | None, told: Mapping[str, Any]) -> None:
        says = {"tool_name": told["name"], "call_id": told.get("call_id")}
        if kind == "tool":
            self.open(kind, number, parent, says | {"arguments": told["arguments"]})
        else:
            super().began(kind, number, parent, told)


@fails("content_names_gives_the_names_of_arguments", "content_all_gives_everything_but_secrets")
class TellsArgumentsAsText(Watching):
    def began(self, kind: str, number: str, parent: str | None, told: Mapping[str, Any]) -> None:
        if kind == "tool":
            told = {**told, "arguments": " ".join(told["arguments"].values())}
        super().began(kind, number, parent, told)


@fails("run_stands_below_the_scope_that_the_application_is_in")
class KnowsNoScopeAround(Watching):
    def open(self, kind: Any, number: str, parent: str | None, says: dict[str, Any]) -> None:
        activate = kind == "tool"
        self.context.recorder.open(kind, number, parent, activate=activate, **says)


@fails("usage_is_counted_once")
class SumsUpUsageForTheRun(Watching):
    """It adds up what was used, and says of the sum that it is no total."""

    read = written = 0

    def used(self, number: str, read: int, written: int) -> None:
        super().used(number, read, written)
        self.read, self.written = self.read + read, self.written + written

    def ended(self, number: str, error: BaseException | None, told: Mapping[str, Any]) -> None:
        if number.startswith("run"):
            self.context.recorder.point(
                USAGE_RECORDED,
                number,
                model="fake",
                input_tokens=self.read,
                output_tokens=self.written,
                total=False,
            )
        super().ended(number, error, told)


@fails("handoff_is_seen", "agents_have_the_ids_of_the_table")
class SaysMoreThanAnEventOfThisTypeDoes(Watching):
    def handed(self, number: str, to: str) -> None:
        did = self.context.did_of(to)
        self.context.recorder.point(AGENT_HANDOFF, number, to_agent=did, why="so it was")


@fails(AT_ONCE[0], AT_ONCE[1], *PARALLEL)
class KnowsToolsByName(Watching):
    """Two calls of a tool have one key."""

    names: dict[str, str]

    def __init__(self, context: SourceContext) -> None:
        super().__init__(context)
        self.names = {}

    def open(self, kind: Any, number: str, parent: str | None, says: dict[str, Any]) -> None:
        if kind == "tool":
            self.names[number] = number = says["tool_name"]
        super().open(kind, number, self.names.get(parent or "", parent), says)

    def ended(self, number: str, error: BaseException | None, told: Mapping[str, Any]) -> None:
        super().ended(self.names.get(number, number), error, told)


SEEN = ("run_is_seen", "async_run_is_seen", "streamed_run_is_seen")


@fails(*SEEN)
class EndsModelsWithTheirAgent(Watching):
    def __init__(self, context: SourceContext) -> None:
        super().__init__(context)
        self.late: list[Any] = []

    def ended(self, number: str, error: BaseException | None, told: Mapping[str, Any]) -> None:
        if number.startswith("model"):
            self.late.append((number, error, told))
            return
        if number.startswith("agent"):
            with suppress(IndexError):  # runs of other threads take from it, too
                while True:
                    one = self.late.pop()
                    super().ended(*one)
        super().ended(number, error, told)


@fails(*SEEN)
class TellsTimesInMilliseconds(Watching):
    def open(self, kind: Any, number: str, parent: str | None, says: dict[str, Any]) -> None:
        super().open(kind, number, parent, says | {"timestamp_ns": time.time_ns() // 1_000_000})


@fails(*SEEN)
class TellsDurationsInMilliseconds(Watching):
    def ended(self, number: str, error: BaseException | None, told: Mapping[str, Any]) -> None:
        if number.startswith("run"):
            self.context.recorder.close(number, error, duration_seconds=1e6)
        super().ended(number, error, told)
