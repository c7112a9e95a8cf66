"""Sagas: steps, retries, compensations, fan-outs, and where their code stands meanwhile."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from hypervisor.saga.checkpoint import CheckpointManager
from hypervisor.saga.fan_out import FanOutOrchestrator
from hypervisor.saga.orchestrator import SagaOrchestrator, SagaTimeoutError
from hypervisor.saga.state_machine import Saga, SagaState, SagaStateError, SagaStep, StepState

from hypervisor_agent_hypervisor import AgentHypervisorSource, work
from hypervisor_observability import HypervisorEventBus, Observability, Recorder, current_trace
from hypervisor_observability.config.plugin_tables import Content
from hypervisor_observability.sources import SourceContext
from tests.sources.agent_hypervisor.test_sessions import A, B, session_of
from tests.sources.governed import all_of, governed, only, trees, types_of

Executor = Callable[[], Awaitable[Any]]


class DeclinedError(Exception):
    """What a step of a test raises."""


async def well() -> dict[str, str]:
    return {"ticket": "T-1"}


async def badly() -> None:
    raise DeclinedError("card declined")


async def undone(_: SagaStep) -> str:
    return "undone"


def orchestrator() -> SagaOrchestrator:
    made = SagaOrchestrator()
    made.DEFAULT_RETRY_DELAY_SECONDS = 0
    return made


async def tried(made: SagaOrchestrator, saga: Saga, step: SagaStep, executor: Executor) -> object:
    """Execute a step; give what it gave or raised."""
    try:
        return await made.execute_step(saga.saga_id, step.step_id, executor)
    except Exception as error:
        return error


def test_saga_that_fails_is_undone_below_its_agent() -> None:
    async def main() -> None:
        sso, made = session_of(A), orchestrator()
        saga = made.create_saga(sso.session_id)
        book = made.add_step(saga.saga_id, "book", A, "/book", "/cancel")
        pay = made.add_step(saga.saga_id, "pay", A, "/pay", "/refund", max_retries=1)
        assert await tried(made, saga, book, well) == {"ticket": "T-1"}
        assert isinstance(await tried(made, saga, pay, badly), DeclinedError)
        assert await made.compensate(saga.saga_id, undone) == []
        sso.activate()
        sso.terminate()

    with governed() as bus:
        asyncio.run(main())

    agent, saga, *steps = trees(bus)
    assert agent == f"agent {A} ok"
    assert saga.startswith("  saga ")
    assert saga.endswith(" compensated")
    assert steps == [
        "    step book undone",
        "      compensation book ok",
        "    step pay FAILED",
        "    step pay FAILED",
    ]
    first, second = all_of(bus, "saga.step_failed")
    assert [one.payload["attempt"] for one in (first, second)] == [1, 2]
    assert [one.payload["will_retry"] for one in (first, second)] == [True, False]
    assert first.payload["error"] == "card declined"
    assert first.payload["error_type"].endswith("DeclinedError")
    started = all_of(bus, "saga.step_started")
    assert [one.payload["attempt"] for one in started] == [1, 1, 2]
    assert started[0].payload["undo_api_present"] is True
    assert only(bus, "saga.completed").payload["outcome"] == "compensated"
    assert {one.payload["saga_id"] for one in bus.all_events if "saga_id" in one.payload} == {
        only(bus, "saga.created").payload["saga_id"]
    }


def test_saga_that_succeeds_is_committed_as_its_session_ends() -> None:
    async def main() -> None:
        sso, made = session_of(A), orchestrator()
        saga = made.create_saga(sso.session_id)
        await tried(made, saga, made.add_step(saga.saga_id, "book", A, "/book"), well)
        sso.activate()
        sso.terminate()

    with governed() as bus:
        asyncio.run(main())

    assert only(bus, "saga.completed").payload["outcome"] == "committed"
    assert types_of(bus)[-3:] == ["saga.completed", "agent.finished", "session.terminated"]


def test_saga_that_nobody_undid_has_failed() -> None:
    async def main() -> None:
        sso, made = session_of(A), orchestrator()
        saga = made.create_saga(sso.session_id)
        await tried(made, saga, made.add_step(saga.saga_id, "pay", A, "/pay"), badly)
        sso.activate()
        sso.terminate()

    with governed() as bus:
        asyncio.run(main())

    ended = only(bus, "saga.escalated").payload
    assert (ended["outcome"], ended["error"]) == ("failed", "card declined")


def test_compensation_that_fails_and_one_that_cannot_be_escalate() -> None:
    async def main() -> None:
        made = orchestrator()
        saga = made.create_saga("s-1")
        steps = [
            made.add_step(saga.saga_id, "book", A, "/book"),
            made.add_step(saga.saga_id, "mail", A, "/mail", "/unmail"),
        ]
        for step in steps:
            await tried(made, saga, step, well)

        async def stuck(_: SagaStep) -> None:
            raise DeclinedError("mail is gone")

        assert await made.compensate(saga.saga_id, stuck) == steps[::-1]

    with governed() as bus:
        asyncio.run(main())

    phases = [
        (one.payload["step_action"], one.payload["phase"], one.payload.get("error"))
        for one in all_of(bus, "saga.compensating")
    ]
    assert phases == [
        ("mail", "started", None),
        ("mail", "failed", "mail is gone"),
        ("book", "started", None),
        ("book", "failed", "No Undo_API available"),
    ]
    escalated = only(bus, "saga.escalated").payload
    assert escalated["outcome"] == "escalated"
    started = all_of(bus, "saga.step_started")
    assert list(escalated["failed_compensations"]) == [one.payload["step_id"] for one in started]


def test_saga_of_several_agents_belongs_to_the_one_of_its_first_step() -> None:
    async def main() -> None:
        sso, made = session_of(A, B), orchestrator()
        saga = made.create_saga(sso.session_id)
        assert "saga.created" not in types_of(bus)
        steps = [made.add_step(saga.saga_id, f"step-{did[-1]}", did, "/x") for did in (B, A)]
        for step in steps:
            await tried(made, saga, step, well)
        sso.activate()
        sso.terminate()

    with governed() as bus:
        asyncio.run(main())

    shown = trees(bus)
    assert shown[0] == f"agent {A} ok"
    assert shown[1] == f"agent {B} ok"
    assert shown[2].startswith("  saga ")
    assert shown[3:] == ["    step step-b ok", "    step step-a ok"]
    assert [one.agent_did for one in all_of(bus, "saga.step_started")] == [B, A]


def test_saga_that_a_program_gives_up_has_failed() -> None:
    with governed() as bus:
        saga = orchestrator().create_saga("s-1")
        saga.error = "out of stock"
        saga.transition(SagaState.FAILED)

    ended = only(bus, "saga.escalated").payload
    assert (ended["outcome"], ended["error"]) == ("failed", "out of stock")


def test_step_that_began_before_the_source_ends_with_a_beginning() -> None:
    step = SagaStep("step-1", "book", A, "/book", "/cancel")
    step.transition(StepState.EXECUTING)
    undone_one = SagaStep("step-2", "pay", A, "/pay", "/refund", state=StepState.COMPENSATING)
    with governed() as bus:
        step.transition(StepState.COMMITTED)
        undone_one.transition(StepState.COMPENSATED)

    assert types_of(bus) == [
        "saga.step_started",
        "saga.step_committed",
        "saga.compensating",
        "saga.compensating",
    ]


def test_branch_without_a_step_or_without_work_is_no_step() -> None:
    async def main() -> None:
        fans = FanOutOrchestrator()
        group = fans.create_group("saga-1")
        fans.add_branch(group.group_id, SagaStep("step-1", "ask", A, "/ask"))
        fans.add_branch(group.group_id, None)
        await fans.execute(group.group_id, {})

    with governed() as bus:
        asyncio.run(main())

    assert types_of(bus) == ["saga.fanout_started", "saga.fanout_resolved"]
    assert only(bus, "saga.fanout_resolved").payload["failure_count"] == 2


def test_saga_that_never_had_a_step_is_seen_though_nothing_ends_it() -> None:
    with governed() as bus:
        sso = session_of(A, B)
        orchestrator().create_saga(sso.session_id)

    assert only(bus, "saga.created").session_id == sso.session_id
    assert types_of(bus).index("saga.created") < types_of(bus).index("session.terminated")


def test_sagas_that_ended_are_not_kept_for_a_long_session() -> None:
    source = AgentHypervisorSource()
    with Observability(plugins=[source]):
        sso = session_of(A)
        for _ in range(50):
            saga = orchestrator().create_saga(sso.session_id)
            saga.transition(SagaState.COMPLETED)
        assert source._writer is not None
        session = source._writer.sessions.get(sso.session_id)
        assert session is not None
        assert session.sagas == {}


def test_saga_without_a_step_is_seen_all_the_same() -> None:
    with governed() as bus:
        sso = session_of(A, B)
        orchestrator().create_saga(sso.session_id)
        sso.activate()
        sso.terminate()

    assert only(bus, "saga.created").session_id == only(bus, "saga.completed").session_id


@pytest.mark.parametrize("how", ["executor", "compensator", "branch"])
def test_code_of_a_step_stands_in_it(how: str) -> None:
    async def main() -> None:
        sso, made = session_of(A), orchestrator()
        saga = made.create_saga(sso.session_id)
        step = made.add_step(saga.saga_id, "book", A, "/book", "/cancel")

        async def using(*_: object) -> None:
            await asyncio.sleep(0)
            with Recorder(bus).tool("search"):
                sso.vfs.write("hits", "3", A)

        if how == "branch":
            fans = FanOutOrchestrator()
            group = fans.create_group(saga.saga_id)
            fans.add_branch(group.group_id, step)
            await fans.execute(group.group_id, {step.step_id: using})
        else:
            await tried(made, saga, step, using if how == "executor" else well)
        if how == "compensator":
            await made.compensate(saga.saga_id, using)
        assert current_trace() is None

    with governed() as bus:
        asyncio.run(main())

    begun = {
        "executor": only(bus, "saga.step_started"),
        "branch": only(bus, "saga.step_started"),
        "compensator": next(iter(all_of(bus, "saga.compensating")), None),
    }[how]
    tool, written = only(bus, "tool.started"), only(bus, "vfs.write")
    assert begun is not None
    assert tool.parent_event_id == begun.event_id
    assert tool.session_id == begun.session_id
    assert tool.agent_did == A
    assert written.causal_trace_id == tool.causal_trace_id


def test_steps_that_run_beside_each_other_do_not_mix() -> None:
    async def main() -> None:
        made = orchestrator()

        async def one(number: int) -> None:
            saga = made.create_saga(f"s-{number}")
            step = made.add_step(saga.saga_id, f"step-{number}", A, "/x", max_retries=1)
            tries: list[int] = []

            async def work() -> None:
                tries.append(number)
                await asyncio.sleep(0.001 * (number % 3))
                Recorder(bus).vfs.write(f"file-{number}")
                if len(tries) == 1:
                    raise DeclinedError

            await tried(made, saga, step, work)
            assert current_trace() is None

        await asyncio.gather(*(one(number) for number in range(20)))

    with governed() as bus:
        asyncio.run(main())

    started = {one.event_id: one for one in all_of(bus, "saga.step_started")}
    assert len(started) == len(all_of(bus, "vfs.write")) == 40
    for written in all_of(bus, "vfs.write"):
        assert written.parent_event_id is not None
        step = started[written.parent_event_id]
        assert step.payload["step_action"].partition("-")[2] == written.payload["path"][5:]
    assert len(all_of(bus, "saga.step_committed")) == len(all_of(bus, "saga.step_failed")) == 20


def test_step_that_takes_too_long_says_so() -> None:
    async def main() -> object:
        made = orchestrator()
        saga = made.create_saga("s-1")
        step = made.add_step(saga.saga_id, "wait", A, "/wait", timeout_seconds=1)
        step.timeout_seconds = 0.01
        return await tried(made, saga, step, lambda: asyncio.sleep(60))

    with governed() as bus:
        assert isinstance(asyncio.run(main()), SagaTimeoutError)

    failed = only(bus, "saga.step_failed").payload
    assert "timed out after 0.01s" in failed["error"]
    assert failed["error_type"] == "TimeoutError"


def test_step_that_is_cancelled_has_ended() -> None:
    async def main() -> None:
        made = orchestrator()
        saga = made.create_saga("s-1")
        step = made.add_step(saga.saga_id, "wait", A, "/wait")
        task = asyncio.create_task(
            made.execute_step(saga.saga_id, step.step_id, lambda: asyncio.sleep(60))
        )
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert step.state is StepState.EXECUTING

    with governed() as bus:
        asyncio.run(main())

    assert only(bus, "saga.step_failed").payload["status"] == "cancelled"


def test_step_that_runs_twice_is_recorded_once() -> None:
    async def main() -> None:
        made = orchestrator()
        saga = made.create_saga("s-1")
        step = made.add_step(saga.saga_id, "wait", A, "/wait")
        first = asyncio.create_task(
            made.execute_step(saga.saga_id, step.step_id, lambda: asyncio.sleep(0.01))
        )
        await asyncio.sleep(0)
        with pytest.raises(SagaStateError):
            await made.execute_step(saga.saga_id, step.step_id, well)
        await first

    with governed() as bus:
        asyncio.run(main())

    assert [one for one in types_of(bus) if "step" in one] == [
        "saga.step_started",
        "saga.step_committed",
    ]


def test_transitions_that_a_program_makes_itself_are_seen() -> None:
    with governed() as bus:
        step = SagaStep("step-1", "book", A, "/book", "/cancel")
        saga = Saga("saga-1", "s-1", [step])
        step.transition(StepState.EXECUTING)
        step.transition(StepState.COMMITTED)
        saga.transition(SagaState.COMPENSATING)
        step.transition(StepState.COMPENSATING)
        step.transition(StepState.COMPENSATED)
        saga.transition(SagaState.COMPLETED)
        with pytest.raises(SagaStateError):
            saga.transition(SagaState.FAILED)
        assert current_trace() is None

    assert types_of(bus) == [
        "saga.step_started",
        "saga.step_committed",
        "saga.created",
        "saga.compensating",
        "saga.compensating",
        "saga.completed",
    ]


@pytest.mark.parametrize("fails", [False, True])
def test_branches_of_a_fan_out_stand_below_it(fails: bool) -> None:
    async def main() -> None:
        made, fans = orchestrator(), FanOutOrchestrator()
        saga = made.create_saga("s-1")
        group = fans.create_group(saga.saga_id)
        executors = {}
        for number in range(3):
            step = made.add_step(saga.saga_id, f"ask-{number}", A, "/ask")
            fans.add_branch(group.group_id, step)
            executors[step.step_id] = badly if fails and number == 1 else well
        await fans.execute(group.group_id, executors)

    with governed() as bus:
        asyncio.run(main())

    started, resolved = only(bus, "saga.fanout_started"), only(bus, "saga.fanout_resolved")
    assert (started.payload["policy"], started.payload["branch_count"]) == ("all", 3)
    assert resolved.payload["policy_satisfied"] is not fails
    assert resolved.payload["success_count"] == (1 if fails else 3)
    assert resolved.payload["failure_count"] == (1 if fails else 0)
    assert len(resolved.payload["compensation_needed"]) == (1 if fails else 0)
    for step in all_of(bus, "saga.step_started"):
        assert step.parent_event_id == started.event_id


def test_fan_out_that_is_cancelled_is_resolved() -> None:
    async def main() -> None:
        made, fans = orchestrator(), FanOutOrchestrator()
        saga = made.create_saga("s-1")
        group = fans.create_group(saga.saga_id)
        step = made.add_step(saga.saga_id, "wait", A, "/wait")
        fans.add_branch(group.group_id, step)
        task = asyncio.create_task(
            fans.execute(group.group_id, {step.step_id: lambda: asyncio.sleep(60)})
        )
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        with pytest.raises(ValueError, match="not found"):
            await fans.execute("nothing", {})

    with governed() as bus:
        asyncio.run(main())

    assert only(bus, "saga.step_failed").payload["status"] == "cancelled"
    assert only(bus, "saga.fanout_resolved").payload["status"] == "cancelled"


def test_checkpoint_belongs_to_its_saga() -> None:
    with governed() as bus:
        saga = orchestrator().create_saga("s-1")
        saved = CheckpointManager().save(saga.saga_id, "step-1", "a ticket is booked")

    checkpoint = only(bus, "saga.checkpoint_saved")
    assert checkpoint.payload == {
        "saga_id": saga.saga_id,
        "step_id": "step-1",
        "checkpoint_id": saved.checkpoint_id,
        "goal_hash": saved.goal_hash,
    }
    assert checkpoint.causal_trace_id == only(bus, "saga.created").causal_trace_id


@pytest.mark.parametrize(
    ("content", "result"), [("none", None), ("names", ["ticket"]), ("all", {"ticket": "T-1"})]
)
def test_result_of_a_step_is_told_as_far_as_the_user_wants(
    content: Content, result: object
) -> None:
    async def main() -> None:
        made = orchestrator()
        saga = made.create_saga("s-1")
        await tried(made, saga, made.add_step(saga.saga_id, "book", A, "/book"), well)

    with governed(content) as bus:
        asyncio.run(main())

    assert only(bus, "saga.step_committed").payload.get("result") == result


def test_ten_thousand_sagas_that_nobody_ends_leave_nothing_open() -> None:
    with governed() as bus:
        made = orchestrator()
        for number in range(10_050):
            made.create_saga(f"s-{number}")
    assert len(all_of(bus, "saga.created")) == 10_050
    assert len(all_of(bus, "saga.completed")) + len(all_of(bus, "saga.escalated")) == 10_050


def test_fault_of_ours_stays_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even a step that could not be recorded leaves anything behind."""

    async def main(bus: HypervisorEventBus) -> None:
        made = orchestrator()
        saga = made.create_saga("s-1")
        step = made.add_step(saga.saga_id, "book", A, "/book")
        monkeypatch.setattr(SourceContext, "content_of", lambda *_, **__: 1 / 0)
        assert await tried(made, saga, step, well) == {"ticket": "T-1"}
        assert current_trace() is None

    with governed(errors=1) as bus:
        asyncio.run(main(bus))
    assert len(all_of(bus, "saga.step_started")) == 1


def test_saga_that_the_source_leaves_is_committed_only_if_each_step_is() -> None:
    async def main() -> None:
        made, sso = orchestrator(), session_of(A)
        done, left = (made.create_saga(sso.session_id) for _ in range(2))
        for saga in (done, left):
            step = made.add_step(saga.saga_id, "book", A, "/book")
            await made.execute_step(saga.saga_id, step.step_id, executor=well)
        made.add_step(left.saga_id, "pay", A, "/pay")
        made.create_saga("elsewhere")

    with governed() as bus:
        asyncio.run(main())

    assert only(bus, "saga.completed").payload["outcome"] == "committed"
    told = [(one.payload["status"], one.payload["reason"]) for one in all_of(bus, "saga.escalated")]
    assert told == [("expired", "the source has stopped")] * 2


def test_long_saga_does_not_give_way_to_short_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(work, "MAX_KEPT", 20)
    with governed() as bus:
        made = orchestrator()
        first = made.create_saga("s-1")
        for _ in range(50):
            made.create_saga("s-1").transition(SagaState.COMPLETED)
        assert all_of(bus, "saga.escalated") == []
        first.transition(SagaState.COMPLETED)
        assert len(all_of(bus, "saga.created")) == len(all_of(bus, "saga.completed")) == 51
