"""How work ends that LangChain says nothing of: cancellations, mostly."""

import asyncio
import gc
from collections.abc import Awaitable
from typing import Any

import pytest
from langchain_core.documents import Document
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import RunnableLambda
from langchain_core.tools import tool

from hypervisor_langchain.calls import MAX_ENDED, Call
from hypervisor_observability.testing import AgentScript, Say, Stall, Usage
from tests.sources.langchain.fakes import ScriptedModel, made_agent, state_of
from tests.sources.langchain.watching import watching

USED = Usage(5, 3)


def stalling(*more: object) -> ScriptedModel:
    return ScriptedModel(turns=(Stall(), *more))


async def given_up(work: Awaitable[object]) -> None:
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(work, 0.05)


def test_model_alone_that_is_cancelled_has_ended() -> None:
    with watching() as watched:
        asyncio.run(given_up(stalling().ainvoke("x")))

    assert watched.tree() == ["model scripted-1 cancelled"]


def test_model_that_its_chain_gives_up_is_cancelled_and_the_chain_is_not() -> None:
    async def ask(_: object) -> str:
        await given_up(stalling().ainvoke("x"))
        return "no answer"

    with watching() as watched:
        assert asyncio.run(RunnableLambda(ask).ainvoke("x")) == "no answer"

    assert watched.tree() == ["run ask ok", "  model scripted-1 cancelled"]


def test_model_below_a_tool_that_is_cancelled_ends_with_it() -> None:
    @tool
    async def ask(question: str) -> str:
        """Ask."""
        return str(await stalling().ainvoke(question))

    with watching() as watched:
        asyncio.run(given_up(ask.ainvoke({"question": "x"})))

    assert watched.tree() == ["tool ask cancelled", "  model scripted-1 cancelled"]


def test_model_that_goes_on_in_a_task_of_its_own_does_not_end_with_its_chain() -> None:
    tasks: list[asyncio.Task[Any]] = []

    async def main() -> None:
        stall = Stall()

        async def ask(_: object) -> str:
            model = ScriptedModel(turns=(stall,))
            tasks.append(asyncio.create_task(model.ainvoke("x")))
            await stall.begun.wait()
            return "asked"

        await RunnableLambda(ask).ainvoke("x")
        assert watched.payloads("model.finished") == []
        tasks[0].cancel()
        with pytest.raises(asyncio.CancelledError):
            await tasks[0]
        await asyncio.sleep(0)

    with watching() as watched:
        asyncio.run(main())
        assert watched.payloads("model.finished") != []

    assert watched.tree() == ["run ask ok", "  model scripted-1 cancelled"]


def test_chain_keeps_nothing_of_models_that_have_answered() -> None:
    """One chain may call thousands."""
    kept: list[object] = []

    async def ask(_: object) -> str:
        model = ScriptedModel(turns=tuple(Say("a", USED) for _ in range(50)))
        for _ in range(50):
            await model.ainvoke("x")
        kept.extend(one for one in gc.get_objects() if type(one) is Call and one.loose)
        return "done"

    with watching() as watched:
        asyncio.run(RunnableLambda(ask).ainvoke("x"))

    assert len(watched.seen.all("model")) == 50
    assert kept == []


def test_task_keeps_nothing_of_models_that_have_answered() -> None:
    """One task may call thousands."""

    async def main() -> object:
        model = ScriptedModel(turns=tuple(Say("a", USED) for _ in range(50)))
        for _ in range(50):
            await model.ainvoke("x")
        return repr(asyncio.current_task())

    with watching() as watched:
        told = asyncio.run(main())

    assert len(watched.seen.all("model")) == 50
    assert str(told).count("calling") == 0


@pytest.mark.parametrize("reads", [0, 1])
def test_stream_of_a_model_that_is_left_is_no_failure(reads: int) -> None:
    with watching() as watched:
        stream = ScriptedModel(turns=(Say("it is sunny", USED),)).stream("x")
        for _ in range(reads):
            next(stream)
        stream.close()

    assert watched.tree() == ["model scripted-1 ok"] * reads


def test_what_is_open_ends_with_the_source() -> None:
    stall = Stall()

    async def main() -> None:
        agent = made_agent(AgentScript("clerk", (stall,)))
        run = asyncio.ensure_future(agent.ainvoke(state_of("x")))
        await stall.begun.wait()
        watched.observability.stop()
        run.cancel()
        with pytest.raises(asyncio.CancelledError):
            await run

    with watching() as watched:
        asyncio.run(main())

    assert watched.tree() == ["agent clerk expired", "  model scripted-1 expired"]


class Failed(BaseException):
    """As a test framework raises it, past every ``except Exception``."""


class Struck(BaseRetriever):
    def _get_relevant_documents(self, query: str, *, run_manager: object) -> list[Document]:
        raise Failed(query)


@pytest.mark.parametrize("is_async", [False, True])
def test_retriever_that_no_exception_ends_has_ended(is_async: bool) -> None:
    chain = RunnableLambda(lambda query: query) | Struck()
    with watching() as watched, pytest.raises(Failed):
        if is_async:
            asyncio.run(chain.ainvoke("x"))
        else:
            chain.invoke("x")

    assert [line.rpartition(" ")[2] for line in watched.tree()] == ["error", "error"]
    assert watched.payloads("tool.finished")[0]["error_type"].endswith("Failed")


def test_model_that_begins_when_its_chain_is_over_ends_with_its_task() -> None:
    async def ask_after(over: asyncio.Event) -> None:
        await over.wait()
        await stalling().ainvoke("x")

    async def main() -> None:
        over = asyncio.Event()
        left: list[Awaitable[None]] = []

        async def leave(_: object) -> None:
            left.append(asyncio.ensure_future(ask_after(over)))

        await RunnableLambda(leave).ainvoke("x")
        over.set()
        await given_up(left[0])

    with watching() as watched:
        asyncio.run(main())

    assert watched.tree() == ["model scripted-1 cancelled"]


def test_end_is_recorded_though_what_it_says_cannot_be_read() -> None:
    message = AIMessage("sunny")
    message.__dict__["usage_metadata"] = {"input_tokens": float("inf"), "output_tokens": 3}

    class Odd(ScriptedModel):
        def _generate(self, *_: Any, **__: Any) -> ChatResult:
            return ChatResult(generations=[ChatGeneration(message=message)])

    with watching() as watched:
        Odd(turns=()).invoke("x")

    assert watched.tree() == ["model scripted-1 ok"]
    assert [one.get("output_tokens") for one in watched.payloads("usage.recorded")] == [3]


def test_runs_that_start_one_another_without_end_do_not_keep_all_before_them() -> None:
    runs = MAX_ENDED + 500

    async def main() -> None:
        model = ScriptedModel(turns=(Say("x", USED),) * runs)
        over = asyncio.Event()
        tasks: list[Awaitable[Any]] = []

        async def go_on(number: int) -> None:
            await model.ainvoke("x")
            if number == runs:
                over.set()
            else:
                chain = RunnableLambda(go_on)
                tasks[:] = [asyncio.ensure_future(chain.ainvoke(number + 1))]

        await RunnableLambda(go_on).ainvoke(1)
        await over.wait()
        await tasks[0]
        gc.collect()
        assert sum(type(one) is Call for one in gc.get_objects()) <= MAX_ENDED + 100

    with watching():
        asyncio.run(main())
