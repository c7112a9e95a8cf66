"""How the source comes to LangChain, and leaves it."""

import copy
import os
import sys
from contextvars import ContextVar
from pathlib import Path

import pytest
from langchain_core.callbacks import CallbackManager
from langchain_core.tracers import context as tracers

from hypervisor_langchain import LangChainSource
from hypervisor_observability import Observability
from hypervisor_observability.testing import AgentScript, Say, Usage
from tests.programs import run
from tests.sources.langchain.fakes import ScriptedModel, made_agent, state_of
from tests.sources.langchain.watching import watching
from tests.sources.seen import see

SCRIPT = AgentScript("clerk", (Say("sunny", Usage(5, 3)),))
PROGRAM = """
from hypervisor_langchain import LangChainSource
from hypervisor_observability import Observability
{before}
with Observability(plugins=[LangChainSource()]) as observability:
    from langchain_core.language_models import GenericFakeChatModel

    GenericFakeChatModel(messages=iter(["sunny"])).invoke("weather?")
    print([event.event_type.value for event in observability.bus.all_events])
"""


@pytest.mark.parametrize("before", ["", "import langchain_core", "import langchain.agents"])
def test_order_of_imports_does_not_matter(before: str) -> None:
    done = run([sys.executable, "-c", PROGRAM.format(before=before)])

    assert done.stdout == "['model.started', 'model.finished']\n", done.stderr


def test_langchain_is_not_imported_by_the_source() -> None:
    program = (
        "import sys\n"
        "from hypervisor_langchain import LangChainSource\n"
        "from hypervisor_observability import Observability\n"
        "with Observability(plugins=[LangChainSource()]) as observability:\n"
        "    print(observability.states(), 'langchain_core' in sys.modules)\n"
    )
    done = run([sys.executable, "-c", program])

    assert done.stdout == "{'langchain': 'waiting for langchain_core'} False\n", done.stderr


def test_hooks_are_afterwards_as_they_were_before() -> None:
    ours: ContextVar[object] = ContextVar("somebody_elses", default=None)
    hooks = tracers._configure_hooks
    before = list(hooks)
    with Observability(plugins=[LangChainSource()]):
        tracers.register_configure_hook(ours, inheritable=True)
    try:
        assert tracers._configure_hooks is hooks
        assert [hook for hook in hooks if hook[0] is not ours] == before
        assert len(hooks) == len(before) + 1, "what others registered meanwhile stays"
    finally:
        hooks[:] = before


def test_source_that_stops_and_starts_sees_each_call_once() -> None:
    for _ in range(3):
        with watching() as watched:
            made_agent(SCRIPT).invoke(state_of("x"))

        assert watched.tree() == ["agent clerk ok", "  model scripted-1 ok"]


def test_copied_configuration_is_seen_once() -> None:
    with watching() as watched:
        manager = CallbackManager.configure()
        for copied in (copy.copy(manager.handlers), copy.deepcopy(manager.handlers)):
            model = ScriptedModel(turns=SCRIPT.turns)
            model.invoke("x", {"callbacks": copied})

    assert watched.tree() == ["model scripted-1 ok"] * 2


def test_tracing_of_langsmith_goes_on_as_before(tmp_path: Path) -> None:
    """Its tracer gets what it gets without the source."""
    program = """
import uuid
from langchain_core.callbacks import CallbackManager
from langchain_core.tracers import context
from langchain_core.tracers.langchain import LangChainTracer
from langchain_core.language_models import GenericFakeChatModel
from langchain_core.runnables import RunnableLambda

kept = []

class Keeping(LangChainTracer):
    def _persist_run(self, run): kept.append((run.name, [one.name for one in run.child_runs]))
    def _persist_run_single(self, run): pass
    def _update_run_single(self, run): pass

context.tracing_v2_callback_var.set(Keeping(client=object()))
model = GenericFakeChatModel(messages=iter(["sunny"]))
(RunnableLambda(lambda text: text) | model).invoke("weather?")
print(kept)
"""
    plain = see(tmp_path, program, config="")
    seen = see(tmp_path, program, config="[plugins.langchain]\n")

    assert seen.stdout == plain.stdout != "", seen.stderr
    assert [one["event_type"] for one in seen.of_type("model.finished")] == ["model.finished"]


def test_version_that_is_not_known_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LangChainSource, "supports", "<1")
    before = list(tracers._configure_hooks)
    with Observability(plugins=[LangChainSource()]) as observability:
        made_agent(SCRIPT).invoke(state_of("x"))
        state = observability.states()["langchain"]

    assert state.startswith("down: langchain-core ")
    assert len(observability.bus.all_events) == 0
    assert before == tracers._configure_hooks


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_child_of_a_fork_is_seen_by_itself() -> None:
    with watching() as watched:
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            made_agent(SCRIPT).invoke(state_of("x"))
            os.write(writer, str(len(watched.events)).encode())
            os._exit(0)
        os.waitpid(child, 0)
        assert os.read(reader, 10) == b"5"
        os.close(reader)
        os.close(writer)

    assert watched.events == ()


def test_keys_of_the_table_hold(tmp_path: Path) -> None:
    program = """
from langchain.agents import create_agent
from langchain_core.language_models import GenericFakeChatModel

model = GenericFakeChatModel(messages=iter(["sunny"]))
create_agent(model, name="clerk").invoke({"messages": [("user", "weather?")]})
"""
    table = '[plugins.langchain]\ncontent = "all"\nagents = { clerk = "did:mesh:7" }\n'
    seen = see(tmp_path, program, config=table)

    assert seen.exit_code == 0, seen.stderr
    (joined,) = seen.of_type("session.joined")
    assert (joined["agent_did"], joined["payload"]["name"]) == ("did:mesh:7", "clerk")
    (started,) = seen.of_type("model.started")
    assert started["payload"]["prompt"] == [{"role": "human", "content": "weather?"}]
    assert seen.span("invoke_agent clerk").name == "invoke_agent clerk"
    assert seen.metric("agent_hypervisor_model_calls_total", status="ok") == 1
