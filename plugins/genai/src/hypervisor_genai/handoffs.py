"""Handoffs, for which there is no convention: Google ADK's tool that transfers to another agent."""

from collections import OrderedDict

from hypervisor_genai.links import Link, Links, SpanKey
from hypervisor_observability.events.event_types import AGENT_HANDOFF
from hypervisor_observability.sources import SourceContext

_SCOPE = "gcp.vertex.agent"
_TOOL = "transfer_to_agent"
_MOST = 1_000


class Handoffs:
    """Agents that have handed over, until the next one begins beside them.

    The tool's span does not say to whom. The agent that begins next below the same span is it.
    """

    def __init__(self) -> None:
        self._handed: OrderedDict[SpanKey, Link] = OrderedDict()

    def tool_ended(self, tool: Link, links: Links) -> None:
        """Take note of the end of a tool."""
        if tool.scope != _SCOPE or tool.work is None or tool.work.name != _TOOL:
            return
        agent = None if tool.beside is None else links.get(tool.beside)
        if agent is None or agent.beside is None:
            return
        self._handed[agent.beside] = agent
        while len(self._handed) > _MOST:
            try:
                self._handed.popitem(last=False)
            except KeyError:  # other threads were as quick
                return

    def agent_begun(self, context: SourceContext, agent: Link) -> None:
        """Record the handoff to an agent that has begun, where there was one."""
        before = None if agent.beside is None else self._handed.pop(agent.beside, None)
        if before is None or before.work is None or agent.work is None:
            return
        context.recorder.point(
            AGENT_HANDOFF,
            before.key,
            from_agent=context.did_of(before.work.name),
            to_agent=context.did_of(agent.work.name),
        )
