"""Who hands over to whom, as LangGraph's commands say it.

A node goes to another by a ``Command`` with ``goto``, which it returns; one of a graph around is
raised as a ``ParentCommand``, by which a tool such as ``transfer_to_billing`` works. It becomes a
handoff if an agent worked in the one node, and one begins to work in the other.
"""

import sys
from collections.abc import Iterator

from hypervisor_langchain.calls import Call


def leave_node(node: Call, result: object) -> None:
    """Note where a *node* goes that has ended with *result*, or with such an exception."""
    graph, worker = node.parent, node.worker
    if graph is None or worker is None:
        return
    for target in targets_of(result):
        if graph.handed is None:
            graph.handed = {}
        graph.handed[target] = worker


def enter_node(node: Call) -> None:
    """Note who has handed over to a *node* that begins."""
    graph = node.parent
    if graph is not None and graph.handed:
        node.giver = graph.handed.pop(node.name, None)


def take_giver(agent: Call) -> tuple[Call, str] | None:
    """Give the graph in which somebody handed over to *agent*, which begins, and who did.

    The first agent that begins in a node takes over.
    """
    node = None if agent.parent is None else agent.parent.node()
    if node is None or node.giver is None or node.parent is None:
        return None
    giver, node.giver = node.giver, None
    return (node.parent, giver) if giver != agent.did else None


def targets_of(result: object) -> Iterator[str]:
    """Give the nodes that *result* goes to: of a command, or of several."""
    commands = _classes("langgraph.types", "Command")
    sends = _classes("langgraph.types", "Send")
    for one in result if isinstance(result, list | tuple) else (result,):
        goto = getattr(one, "goto", ()) if isinstance(one, commands) else ()
        for target in goto if isinstance(goto, list | tuple) else (goto,):
            name = getattr(target, "node", None) if isinstance(target, sends) else target
            if isinstance(name, str) and name:
                yield name


def signal_of(error: object) -> str:
    """Tell what LangGraph means by *error*, which is no failure; empty: it is one.

    Returns:
        ``goto``, ``interrupted`` or ``drained``.
    """
    if error is None or not isinstance(error, _classes("langgraph.errors", "GraphBubbleUp")):
        return ""
    if isinstance(error, _classes("langgraph.errors", "ParentCommand")):
        return "goto"
    if isinstance(error, _classes("langgraph.errors", "GraphInterrupt")):
        return "interrupted"
    return "drained"


def _classes(module: str, name: str) -> tuple[type, ...]:
    """Give LangGraph's class of that *name*; nothing while nobody has imported LangGraph."""
    found = getattr(sys.modules.get(module), name, None)
    return (found,) if isinstance(found, type) else ()
