"""Sagas: their steps, retries, compensations, fan-outs and checkpoints.

The transitions of a step and of a saga tell of everything, whoever runs them. What runs steps, an
orchestrator, is wrapped for two reasons: while it runs a step, that is where the running code
stands; and a cancellation makes no transition.
"""

import sys
from collections.abc import Hashable
from typing import Any, Literal

from hypervisor_agent_hypervisor.values import word
from hypervisor_agent_hypervisor.work import SagaWork, StepWork, new_key
from hypervisor_agent_hypervisor.wrapping import Call
from hypervisor_agent_hypervisor.writer import Writer
from hypervisor_observability import EventType

_POLICIES = {"all_must_succeed": "all", "majority_must_succeed": "majority"}
_NO_UNDO = "there is nothing to undo it with"


# Sagas


def created(writer: Writer, call: Call) -> None:
    """``SagaOrchestrator.create_saga``."""
    writer.saga_of(call.result)


def step_added(writer: Writer, call: Call) -> None:
    """``SagaOrchestrator.add_step``: the first one tells whose the saga is."""
    saga = call.target.get_saga(call.given["saga_id"])
    work = writer.saga_of(saga)
    writer.steps.of(call.result).saga = work
    work.has_steps = True
    work.undone.add(id(call.result))
    writer.open_saga(work, call.result.agent_did)


def saga_moved(writer: Writer, call: Call) -> None:
    """``Saga.transition``."""
    saga, state = call.target, word(call.given["new_state"])
    work = writer.saga_of(saga)
    if state == "compensating":
        work.is_compensating = True
        return
    for step in saga.steps:
        if word(step.state) == "compensation_failed":
            _note_no_undo(writer, step, work)
    if state == "completed":
        outcome = "compensated" if work.is_compensating else "committed"
        writer.end_saga(work, outcome=outcome)
    elif state == "failed":
        writer.end_saga(work, saga.error or next(iter(work.failures.values()), "failed"))
    elif state == "escalated":
        failed = [one.step_id for one in saga.steps if word(one.state) == "compensation_failed"]
        reason = f"{len(failed)} compensations failed" if failed else "escalated"
        writer.end_saga(work, reason, outcome="escalated", failed_compensations=failed or None)


def _note_no_undo(writer: Writer, step: Any, saga: SagaWork) -> None:
    """Record a compensation that failed without having begun: it makes no transition."""
    work = writer.steps.of(step)
    if work.undo_key is None:
        work.saga = work.saga or saga
        _begin_undo(writer, step, work)
        writer.close(work.undo_key, step.error or _NO_UNDO)


def checkpoint_saved(writer: Writer, call: Call) -> None:
    """``CheckpointManager.save``."""
    one = call.result
    saga = writer.sagas.get(one.saga_id)
    if saga is not None:
        writer.open_saga(saga)
    writer.point(
        EventType.SAGA_CHECKPOINT_SAVED,
        None if saga is None else saga.session_id,
        None,
        below=None if saga is None else saga.key,
        saga_id=one.saga_id,
        step_id=one.step_id,
        checkpoint_id=one.checkpoint_id,
        goal_hash=one.goal_hash,
    )


# Steps


def step_moved(writer: Writer, call: Call) -> None:
    """``SagaStep.transition``: the one place of all states, retries included."""
    step, state = call.target, word(call.given["new_state"])
    work = writer.steps.of(step)
    if state == "executing":
        _begin_step(writer, step, work)
    elif state == "committed":
        _end_step(writer, step, work, None)
    elif state == "failed":
        _end_step(writer, step, work, _error_of(step))
    elif state == "compensating":
        _begin_undo(writer, step, work)
    elif state in ("compensated", "compensation_failed"):
        if work.undo_key is None:
            _begin_undo(writer, step, work)
        if state == "compensated":
            writer.close(work.undo_key)
        else:
            _close_failed(writer, work.undo_key, step, _error_of(step))


def _begin_step(writer: Writer, step: Any, work: StepWork) -> None:
    saga = work.saga
    if saga is not None:
        saga.running.add(id(step))
        saga.failures.pop(id(step), None)
    work.key, work.undo_key = new_key("step", step.step_id), None
    _open_part(
        writer,
        "step",
        work.key,
        step,
        work,
        execute_api=step.execute_api,
        undo_api_present=bool(step.undo_api),
        timeout_seconds=step.timeout_seconds,
        attempt=step.retry_count + 1,
        max_retries=step.max_retries,
    )


def _end_step(writer: Writer, step: Any, work: StepWork, error: BaseException | str | None) -> None:
    if work.key is None:  # nobody saw it begin
        _begin_step(writer, step, work)
    if work.saga is not None:
        work.saga.running.discard(id(step))
        if error is None:
            work.saga.undone.discard(id(step))
    if error is None:
        result = writer.context.content_of(result=step.execute_result)
        writer.close(work.key, **result)
        return
    tried_again = step.retry_count < step.max_retries if work.is_led else None
    if work.saga is not None and not tried_again:
        work.saga.failures[id(step)] = step.error or str(error)
    _close_failed(writer, work.key, step, error, will_retry=tried_again)


def _close_failed(
    writer: Writer, key: object, step: Any, error: BaseException | str, **payload: Any
) -> None:
    if isinstance(error, TimeoutError) and step.error:
        # The exception says nothing, and the step all.
        writer.close(key, step.error, error_type=type(error).__name__, **payload)
    else:
        writer.close(key, error, **payload)


def _error_of(step: Any) -> BaseException | str:
    """Give the exception that is being handled, if it is the one that the step tells of."""
    error = sys.exc_info()[1]
    told: str | None = step.error
    if error is None or not told:
        return told or "failed"
    if isinstance(error, TimeoutError):
        return error
    try:
        return error if str(error) and str(error) in told else told
    except Exception:  # noqa: BLE001 - the text of an exception is the application's code
        return told


def _begin_undo(writer: Writer, step: Any, work: StepWork) -> None:
    work.undo_key = new_key("compensation", step.step_id)
    _open_part(writer, "compensation", work.undo_key, step, work, compensates_step_id=step.step_id)


def _open_part(
    writer: Writer,
    kind: Literal["step", "compensation"],
    key: Hashable,
    step: Any,
    work: StepWork,
    **payload: Any,
) -> None:
    saga = work.saga
    writer.open(
        kind,
        key,
        _above(writer, step, work),
        None if saga is None else saga.session_id,
        step.agent_did,
        activate=work.is_led,
        saga_id=None if saga is None else saga.saga_id,
        step_id=step.step_id,
        step_action=step.action_id,
        **payload,
    )


def _above(writer: Writer, step: Any, work: StepWork) -> object:
    """Give the key of what a step stands below."""
    if work.above is not None:
        return work.above
    if work.saga is None:
        return writer.place_of(None, step.agent_did)
    writer.open_saga(work.saga, step.agent_did)
    return work.saga.key


# What runs them


def step_led(writer: Writer, call: Call) -> list[Any]:
    """Before ``SagaOrchestrator.execute_step``: the step is where its code stands."""
    saga = call.target.get_saga(call.given.get("saga_id"))
    wanted = call.given.get("step_id")
    steps = [] if saga is None else [one for one in saga.steps if one.step_id == wanted]
    return _lead(writer, saga, steps[:1])


def compensation_led(writer: Writer, call: Call) -> list[Any]:
    """Before ``SagaOrchestrator.compensate``; likewise, of each compensation."""
    saga = call.target.get_saga(call.given.get("saga_id"))
    return _lead(writer, saga, [] if saga is None else list(saga.steps))


def _lead(writer: Writer, saga: Any, steps: list[Any]) -> list[Any]:
    """Give those of *steps* that nobody else runs."""
    taken = []
    for step in steps:
        work = writer.steps.of(step)
        work.saga = work.saga or writer.saga_of(saga)
        if not work.is_led:
            work.is_led = True
            taken.append(step)
    return taken


def led(writer: Writer, call: Call) -> None:
    """After an orchestrator has run steps: none is left open, not even by a cancellation."""
    error = call.error
    for step in call.before or ():
        work = writer.steps.of(step)
        work.is_led = False
        for key in (work.key, work.undo_key):
            if key is None or writer.close(key, error) is None:
                continue  # a transition has told
            if work.saga is not None and key is work.key:
                work.saga.running.discard(id(step))
                work.saga.failures[id(step)] = "cancelled"


def fan_out_begun(writer: Writer, call: Call) -> tuple[Any, list[Any], object] | None:
    """Before ``FanOutOrchestrator.execute``: its branches are steps below it."""
    group = call.target.get_group(call.given.get("group_id"))
    if group is None:
        return None
    saga = writer.sagas.get(group.saga_id)
    steps = [branch.step for branch in group.branches if branch.step is not None]
    if saga is not None:
        writer.open_saga(saga, steps[0].agent_did if steps else None)
    key = new_key("fan-out", group.group_id)
    writer.open(
        "fan_out",
        key,
        writer.place_of(None, None) if saga is None else saga.key,
        None if saga is None else saga.session_id,
        saga_id=group.saga_id,
        group_id=group.group_id,
        policy=_policy(group),
        branch_count=group.total_branches,
    )
    taken = []
    for step in steps:
        work = writer.steps.of(step)
        work.saga, work.above = work.saga or saga, key
        if not work.is_led:
            work.is_led = True
            taken.append(step)
    return group, taken, key


def fan_out_ended(writer: Writer, call: Call) -> None:
    """After ``FanOutOrchestrator.execute``, whether it returned or raised."""
    if call.before is None:
        return
    group, steps, key = call.before
    call.before = steps
    led(writer, call)
    for step in steps:
        writer.steps.of(step).above = None
    if call.error is not None:
        writer.close(key, call.error)
        return
    writer.close(
        key,
        success_count=group.success_count,
        failure_count=group.failure_count,
        policy_satisfied=group.policy_satisfied,
        compensation_needed=list(group.compensation_needed),
    )


def _policy(group: Any) -> str:
    policy = word(group.policy)
    return _POLICIES.get(policy, "any")
