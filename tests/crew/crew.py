"""A framework of agents that nobody has: what the contract of sources is proved with."""

import asyncio
import inspect
import itertools
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Coroutine,
    Iterator,
    Mapping,
    Sequence,
)
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import copy_context
from functools import partial
from typing import Any, Protocol

from attrs import define, field, frozen


class Observer(Protocol):
    """Is told of work, in the context that it runs in."""

    def began(self, kind: str, number: str, parent: str | None, told: Mapping[str, Any]) -> None:
        """Work began."""

    def ended(self, number: str, error: BaseException | None, told: Mapping[str, Any]) -> None:
        """It ended."""

    def handed(self, number: str, to: str) -> None:
        """An agent hands over."""


observers: list[Observer] = []
_numbers = itertools.count()


@frozen
class Answer:
    """What a model answers: a text, calls of tools, or whom it hands over to."""

    text: str = ""
    calls: tuple[Any, ...] = ()
    to: str = ""
    usage: tuple[int, int] = (0, 0)


@define(eq=False)
class Agent:
    """An agent.

    Attributes:
        name: Of it.
        model: Gives the next answer.
        tools: Functions by name.
        agents: Whom it may call as a tool.
        hands_to: Whom it may hand over to.
        allows: Whether it may call a tool, by name.
    """

    name: str
    model: Callable[[], Awaitable[Answer]]
    tools: Mapping[str, Callable[..., Any]] = field(factory=dict)
    agents: "Mapping[str, Agent]" = field(factory=dict)
    hands_to: "Mapping[str, Agent]" = field(factory=dict)
    allows: Callable[[str], bool] = lambda _: True

    def run(self, request: str) -> str:
        """Answer; tools that are called at once run in threads."""
        return str(_driven(_answer(self, request, _in_threads)))

    async def arun(self, request: str) -> str:
        """Answer; tools that are called at once run in tasks."""
        return await _answer(self, request, _in_tasks)

    async def stream(self, request: str) -> AsyncIterator[str]:
        """Give the words as they come, then the answer."""
        async for word in _words(self, request, _in_tasks):
            yield word


@define
class _Work:
    number: str
    told: dict[str, Any] = field(factory=dict)


@contextmanager
def _working(kind: str, parent: str | None, **told: Any) -> Iterator[_Work]:
    work = _Work(f"{kind}-{next(_numbers)}")
    for one in list(observers):
        one.began(kind, work.number, parent, told)
    error: BaseException | None = None
    try:
        yield work
    except BaseException as raised:
        error = raised
        raise
    finally:
        for one in list(observers):
            one.ended(work.number, error, work.told)


Job = Callable[[], Coroutine[Any, Any, Any]]
Gather = Callable[[Sequence[Job]], Awaitable[list[Any]]]


async def _answer(agent: Agent, request: str, gather: Gather, parent: str | None = None) -> str:
    words = [word async for word in _words(agent, request, gather, parent)]
    return words[-1]


async def _words(
    agent: Agent, request: str, gather: Gather, parent: str | None = None
) -> AsyncIterator[str]:
    if parent is None:
        with _working("run", None, name="crew", request=request) as run:
            async for word in _words(agent, request, gather, run.number):
                yield word
        return
    chosen: Agent | None = agent
    while chosen is not None:
        now, chosen = chosen, None
        with _working("agent", parent, name=now.name) as work:
            while True:
                with _working("model", work.number, name="fake") as call:
                    answer = await now.model()
                    for word in answer.text.split():
                        yield word
                    call.told["usage"] = answer.usage
                calls = [partial(_call, now, one, work.number, gather) for one in answer.calls]
                if not calls:
                    break
                await gather(calls)
            if answer.to:
                for one in list(observers):
                    one.handed(work.number, answer.to)
                chosen = now.hands_to[answer.to]
        if chosen is None:
            yield answer.text


async def _call(agent: Agent, call: Any, parent: str, gather: Gather) -> str:
    told = {"name": call.name, "call_id": call.call_id, "arguments": call.arguments}
    try:
        with _working("tool", parent, **told) as work:
            if not agent.allows(call.name):
                work.told["refused"] = True
                return f"{call.name} is not allowed"
            if call.name in agent.agents:
                request = call.arguments["request"]
                return await _answer(agent.agents[call.name], request, gather, work.number)
            tool = agent.tools[call.name]
            if inspect.iscoroutinefunction(tool):
                return str(await tool(**call.arguments))
            if gather is _in_tasks:
                return str(await asyncio.to_thread(tool, **call.arguments))
            return str(tool(**call.arguments))
    except Exception as error:  # the model is told of it
        return f"{call.name} has failed: {error}"


async def _in_tasks(jobs: Sequence[Job]) -> list[Any]:
    return await asyncio.gather(*(job() for job in jobs))


async def _in_threads(jobs: Sequence[Job]) -> list[Any]:
    if len(jobs) < 2:
        return [await job() for job in jobs]
    with ThreadPoolExecutor() as pool:
        running = [pool.submit(copy_context().run, _driven, job()) for job in jobs]
        return [one.result() for one in running]


def _driven(work: Coroutine[Any, Any, Any]) -> Any:
    """Run what waits for nothing, without a loop."""
    try:
        work.send(None)
    except StopIteration as end:
        return end.value
    work.close()
    raise RuntimeError("only asynchronous runs can wait")
