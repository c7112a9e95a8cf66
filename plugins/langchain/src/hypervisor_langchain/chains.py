"""Chains: runs, agents, and their parts.

A graph, a node, a prompt, a sequence: to LangChain each is a chain. Recorded are

- as an agent: what ``create_agent`` made, which LangChain says in the metadata where it has a
  name; and a graph whose first node is that of an agent, as ``create_react_agent`` makes them;
- as a run: any other graph, and the outermost call of a chain that calls something.

So what an outermost chain is shows when its first part begins.
"""

from collections.abc import Mapping
from contextvars import copy_context
from typing import Any

from attrs import define

from hypervisor_langchain.asked import note_given, refused_in
from hypervisor_langchain.calls import Call, key_of
from hypervisor_langchain.handoffs import enter_node, leave_node, signal_of, take_giver
from hypervisor_langchain.work import Work
from hypervisor_observability.events.event_types import AGENT_HANDOFF

UNNAMED = "LangGraph"
"""What LangGraph calls a graph without a name."""
AGENT_NODES = frozenset({"agent", "model", "model_request", "pre_model_hook", "tools"})
"""Nodes of ``create_agent`` and ``create_react_agent``; a resumed one may begin with any."""
AGENT_HOOKS = (".after_agent", ".after_model", ".before_agent", ".before_model")
"""How the names of nodes end that ``create_agent`` makes of middleware."""


@define(eq=False)
class Chains:
    """The callbacks of chains."""

    _work: Work

    def started(
        self,
        serialized: object,  # noqa: ARG002 - LangChain calls it so
        inputs: object,
        *,
        run_id: Any,
        parent_run_id: Any = None,
        metadata: Mapping[str, Any] | None = None,
        name: str | None = None,
        **_: object,
    ) -> None:
        """Take that a chain begins."""
        work = self._work
        metadata = metadata or {}
        name = name or UNNAMED
        call = work.begin(run_id, parent_run_id, name, metadata)
        parent = call.parent
        if parent is None and metadata.get("thread_id") is not None:
            call.attributes = {"thread_id": str(metadata["thread_id"])}
        if parent is not None and parent.kind not in ("tool", "model"):
            namespace = call.namespace
            call.is_node = (
                namespace is not None
                and namespace != parent.namespace
                and metadata.get("langgraph_node") == name
            )
            if parent.kind == "undecided":
                self._decide(parent, call if call.is_node else None)
        if call.is_node:
            call.kind = "part"
            enter_node(call)
            note_given(call, inputs)
        elif _is_agent(call) and not _is_in_agent(str(call.agent_name), parent):
            self._open_agent(call, str(call.agent_name))
        elif parent is None:
            call.around = copy_context()

    def ended(self, outputs: object, *, run_id: Any, **_: object) -> None:
        """Take that a chain has ended well."""
        call = self._work.calls.take(key_of(run_id))
        if call is None:
            return
        try:
            if call.is_node:
                self._refuse(call, outputs)
        finally:
            self._end(call, outputs, None)

    def failed(self, error: BaseException, *, run_id: Any, **_: object) -> None:
        """Take that a chain has ended with an exception, which need not be a failure."""
        call = self._work.calls.take(key_of(run_id))
        if call is None:
            return
        if call.kind == "undecided" and call.parent is None:
            self._open_run(call, call.name, "chain")
        signal = signal_of(error)
        call.interrupted = call.interrupted or signal == "interrupted"
        self._end(call, error.args[0] if signal == "goto" and error.args else None, error)

    def decide(self, call: Call | None) -> None:
        """Take that something begins below *call* that is no chain."""
        if call is not None and call.kind == "undecided":
            self._decide(call, None)

    # What a chain is

    def _decide(self, call: Call, node: Call | None) -> None:
        """Say what *call* is, of which a first part begins: a *node*, or none of a graph."""
        if call.is_over and node is None:  # the part is what it has left running
            call.kind = "part"
        elif node is None:
            if call.parent is None:
                self._open_run(call, call.name, "chain")
            else:
                call.kind = "part"
        else:
            around = call.node() if call.name == UNNAMED else None
            name = call.name if around is None else around.name
            if node.name in AGENT_NODES or node.name.endswith(AGENT_HOOKS):
                self._open_agent(call, name)
            else:
                self._open_run(call, name, "graph")
        call.around = None
        if call.is_over and call.is_recorded:  # meanwhile, in another thread
            self._work.end(call, None)

    def _open_run(self, call: Call, name: str, kind: str) -> None:
        self._hold(call)
        thread = (call.attributes or {}).get("thread_id")
        self._work.open("run", call, kind=kind, name=name, conversation_id=thread)

    def _open_agent(self, call: Call, name: str) -> None:
        self._hold(call)
        call.name = name  # the run may be called otherwise
        call.did = did = self._work.context.did_of(name)
        handed = take_giver(call)
        if handed is not None:
            graph, giver = handed
            above = graph.recorded()
            self._work.recorder.point(
                AGENT_HANDOFF,
                None if above is None else above.key,
                agent_did=giver,
                from_agent=giver,
                to_agent=did,
            )
        self._work.open("agent", call, agent_did=did, name=name)

    @staticmethod
    def _hold(call: Call) -> None:
        node = None if call.parent is None else call.parent.node()
        if node is not None:
            node.holds_graph = True

    # How it ends

    def _end(self, call: Call, result: object, error: BaseException | None) -> None:
        parent, worker = call.parent, call.did or call.worker
        if parent is not None:
            parent.interrupted = parent.interrupted or call.interrupted
            if worker is not None and parent.kind not in ("tool", "model"):
                parent.worker = worker
        with self._work.ending(call, error):
            if call.is_node:
                leave_node(call, result)

    def _refuse(self, node: Call, result: object) -> None:
        for name, call_id, answer in refused_in(node, result):
            self._work.refuse(node, name, call_id, answer)


def _is_agent(call: Call) -> bool:
    """Tell whether LangChain says that *call* is an agent; what an agent calls inherits it."""
    name, parent = call.agent_name, call.parent
    if not isinstance(name, str) or not name:
        return False
    return name == call.name or parent is None or parent.agent_name != name


def _is_in_agent(name: str, call: Call | None) -> bool:
    """Whether *call* is a part of the agent of that *name*: its parts have its metadata."""
    while call is not None and call.kind not in ("tool", "model"):
        if call.kind == "agent":
            return call.name == name
        call = call.parent
    return False
