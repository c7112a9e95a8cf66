"""Chains without agents: what LangChain calls LCEL."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from langchain_core.caches import InMemoryCache
from langchain_core.callbacks import BaseCallbackHandler, CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.language_models import FakeListLLM, GenericFakeChatModel
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import RunnableLambda, RunnableParallel

from hypervisor_observability import current_trace
from hypervisor_observability.testing import Fail, Say, Usage
from tests.sources.langchain.fakes import ScriptedModel
from tests.sources.langchain.watching import watching

PROMPT = ChatPromptTemplate.from_messages([("user", "weather in {city}?")])


def model(*texts: str, name: str = "scripted-1") -> ScriptedModel:
    return ScriptedModel(turns=tuple(Say(one, Usage(5, 3)) for one in texts), model_name=name)


def test_chain_is_a_run_that_holds_what_it_calls() -> None:
    with watching() as watched:
        chain = PROMPT | model("sunny") | StrOutputParser()

        assert chain.invoke({"city": "Oslo"}) == "sunny"

    assert watched.tree() == ["run RunnableSequence ok", "  model scripted-1 ok"]
    (started,) = watched.payloads("run.started")
    assert started["kind"] == "chain"
    (used,) = watched.payloads("usage.recorded")
    (call,) = watched.payloads("model.started")
    assert used == {
        "model": "scripted-1",
        "provider": call["provider"],
        "input_tokens": 5,
        "output_tokens": 3,
    }


def test_chain_that_calls_nothing_is_not_recorded() -> None:
    with watching() as watched:
        PROMPT.invoke({"city": "Oslo"})
        RunnableLambda(str.upper).invoke("oslo")

    assert watched.events == ()


def test_chain_that_fails_before_it_calls_anything_is_recorded() -> None:
    with watching() as watched, pytest.raises(KeyError):
        PROMPT.invoke({"town": "Oslo"})

    assert watched.tree() == ["run ChatPromptTemplate error"]


def test_each_input_of_a_batch_is_a_run() -> None:
    with watching() as watched:
        chain = PROMPT | model("a", "b", "c") | StrOutputParser()
        inputs = [{"city": city} for city in ("Oslo", "Bergen", "Bodo")]

        assert sorted(chain.batch(inputs)) == ["a", "b", "c"]

    assert watched.tree() == ["run RunnableSequence ok", "  model scripted-1 ok"] * 3


def test_branches_at_once_stand_below_their_run() -> None:
    with watching() as watched:
        both = RunnableParallel(
            left=PROMPT | model("a", name="m-left"), right=PROMPT | model("b", name="m-right")
        )
        both.invoke({"city": "Oslo"})

    tree = watched.tree()
    assert tree[0].startswith("run RunnableParallel")
    assert sorted(tree[1:]) == ["  model m-left ok", "  model m-right ok"]


def test_chain_whose_events_are_streamed_is_seen_once() -> None:
    async def main() -> list[str]:
        chain = PROMPT | model("it is sunny") | StrOutputParser()
        return [one["event"] async for one in chain.astream_events({"city": "O"}, version="v2")]

    with watching() as watched:
        assert "on_chain_end" in asyncio.run(main())

    assert watched.tree() == ["run RunnableSequence ok", "  model scripted-1 ok"]
    (finished,) = watched.payloads("model.finished")
    assert 0 <= finished["first_token_seconds"] <= finished["duration_seconds"]
    assert finished["finish_reason"] == "stop"


def test_stream_of_a_chain_tells_the_time_to_its_first_token() -> None:
    with watching() as watched:
        chain = PROMPT | model("it is sunny") | StrOutputParser()
        assert "".join(chain.stream({"city": "Oslo"})) == "itissunny"

    (finished,) = watched.payloads("model.finished")
    assert 0 <= finished["first_token_seconds"] <= finished["duration_seconds"]


def test_each_retry_is_a_call() -> None:
    failing = ScriptedModel(turns=(Fail(ValueError("away")), Say("sunny", Usage(5, 3))))
    with watching() as watched:
        chain = PROMPT | failing.with_retry(stop_after_attempt=2, wait_exponential_jitter=False)
        chain.invoke({"city": "Oslo"})

    assert watched.tree() == [
        "run RunnableSequence ok",
        "  model scripted-1 error",
        "  model scripted-1 ok",
    ]


def test_fallback_is_a_call_of_its_own() -> None:
    failing = ScriptedModel(turns=(Fail(ValueError("away")),), model_name="first")
    with watching() as watched:
        (PROMPT | failing.with_fallbacks([model("b", name="second")])).invoke({"city": "Oslo"})

    assert watched.tree() == ["run RunnableSequence ok", "  model first error", "  model second ok"]


def test_model_alone_needs_no_run() -> None:
    with watching() as watched:
        with watched.recorder.run("job"):
            model("sunny").invoke("weather?")

    assert watched.tree() == ["run job ok", "  model scripted-1 ok"]


def test_run_stands_where_it_began_though_its_first_part_begins_elsewhere() -> None:
    with watching() as watched:

        def ask(_: object) -> object:
            with watched.recorder.run("inner"):
                return model("sunny").invoke("weather?")

        with watched.recorder.run("outer"):
            RunnableLambda(ask).invoke("x")

    assert watched.tree() == [
        "run outer ok",
        "  run inner ok",
        "  run ask ok",
        "    model scripted-1 ok",
    ]


def test_model_that_completes_texts_is_seen() -> None:
    with watching() as watched:
        FakeListLLM(responses=["a", "b"]).generate(["x", "y"])

    assert watched.tree() == ["model FakeListLLM ok"] * 2
    assert {one["operation"] for one in watched.payloads("model.started")} == {"text_completion"}


class Shelf(BaseRetriever):
    """Finds one document."""

    def _get_relevant_documents(
        self, query: str, *, run_manager: CallbackManagerForRetrieverRun
    ) -> list[Document]:
        if query == "nothing":
            raise LookupError(query)
        return [Document(f"about {query}")]


def test_retriever_is_a_tool() -> None:
    with watching() as watched:
        (Shelf() | RunnableLambda(len)).invoke("rain")
        with pytest.raises(LookupError):
            Shelf().invoke("nothing")

    assert watched.tree() == ["run RunnableSequence ok", "  tool Shelf ok", "tool Shelf error"]
    assert watched.payloads("tool.started")[0]["arguments"] == ["query"]


class Counting(BaseCallbackHandler):
    """An application's own handler."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def on_chain_start(self, *args: Any, **kwargs: Any) -> None:
        self.seen.append("chain")

    def on_chat_model_start(self, *args: Any, **kwargs: Any) -> None:
        self.seen.append("model")

    def on_llm_new_token(self, *args: Any, **kwargs: Any) -> None:
        self.seen.append("token")


def test_callbacks_of_the_application_are_called_once_each() -> None:
    def called() -> list[str]:
        counting = Counting()
        chain = PROMPT | model("it is sunny") | StrOutputParser()
        list(chain.stream({"city": "Oslo"}, {"callbacks": [counting]}))
        return counting.seen

    plain = called()
    with watching() as watched:
        assert called() == plain

    assert watched.tree() == ["run RunnableSequence ok", "  model scripted-1 ok"]


def test_answers_of_a_cache_have_used_no_tokens() -> None:
    with watching() as watched:
        cached = ScriptedModel(turns=(Say("sunny", Usage(5, 3)),), cache=InMemoryCache())
        assert cached.invoke("weather?").content == cached.invoke("weather?").content

    assert len(watched.seen.all("model")) == 2
    assert len(watched.payloads("usage.recorded")) == 1


def test_name_of_a_model_is_its_class_where_it_has_none() -> None:
    with watching() as watched:
        GenericFakeChatModel(messages=iter(["sunny"])).invoke("weather?")

    assert watched.tree() == ["model GenericFakeChatModel ok"]


def test_generator_in_a_chain_leaves_no_context_to_its_reader() -> None:
    def words(parts: Iterator[Any]) -> Iterator[str]:
        for part in parts:
            yield str(part.content)

    with watching() as watched:
        chain = PROMPT | model("it is sunny") | words
        for _ in chain.stream({"city": "Oslo"}):
            assert current_trace() is None

    assert len(watched.seen.all("model")) == 1
