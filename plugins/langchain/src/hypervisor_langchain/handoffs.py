"""Who hands over to whom, as LangGraph's commands say it.

A node goes to another by a ``Command`` with ``goto``, which it returns; one of a graph around is
raised as a ``ParentCommand``, by which a tool such as ``transfer_to_billing`` works. It becomes a
handoff if an agent worked in the one node, and one begins to work in the other.
"""

from collections.abc import Iterator

from hypervisor_langchain.calls import Call
from hypervisor_langchain.framework import is_a, is_command


def leave_node(node: Call, result: object) -> None:
    """Note where a *node* goes that has ended with *result*, or with such an exception."""
    graph, worker = node.parent, node.worker
    if graph is None or worker is None:
        return
    for target, is_sent in targets_of(result):
        if graph.handed is None:
            graph.handed = {}
        # A node runs once for all that go there, and once for each that is sent.
        graph.handed[target] = [*(graph.handed.get(target, ()) if is_sent else ()), worker]


def enter_node(node: Call) -> None:
    """Note who has handed over to a *node* that begins."""
    graph = node.parent
    givers = None if graph is None or not graph.handed else graph.handed.get(node.name)
    if givers:
        node.giver = givers.pop(0)


def take_giver(agent: Call) -> tuple[Call, str] | None:
    """Give the graph in which somebody handed over to *agent*, which begins, and who did.

    The first agent that begins in a node takes over.
    """
    node = None if agent.parent is None else agent.parent.node()
    if node is None or node.giver is None or node.parent is None:
        return None
    giver, node.giver = node.giver, None
    return (node.parent, giver) if giver != agent.did else None


def targets_of(result: object) -> Iterator[tuple[str, bool]]:
    """Give the nodes that *result* goes to, of a command, or of several.

    Returns:
        For each its name, and whether it was sent something of its own.
    """
    for one in result if isinstance(result, list | tuple) else (result,):
        goto = getattr(one, "goto", ()) if is_command(one) else ()
        for target in goto if isinstance(goto, list | tuple) else (goto,):
            is_sent = is_a(target, "langgraph.types", "Send")
            name = getattr(target, "node", None) if is_sent else target
            if isinstance(name, str) and name:
                yield name, is_sent


def signal_of(error: object) -> str:
    """Tell what LangGraph means by *error*, which is no failure; empty: it is one.

    Returns:
        ``goto``, ``interrupted`` or ``drained``.
    """
    if error is None or not is_a(error, "langgraph.errors", "GraphBubbleUp"):
        return ""
    if is_a(error, "langgraph.errors", "ParentCommand"):
        return "goto"
    if is_a(error, "langgraph.errors", "GraphInterrupt"):
        return "interrupted"
    return "drained"
