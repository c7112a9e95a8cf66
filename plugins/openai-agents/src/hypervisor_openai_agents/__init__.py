"""A source for the OpenAI Agents SDK: what its agents do, as events."""

from hypervisor_openai_agents.plugin import OpenAIAgentsConfig, OpenAIAgentsSource

__all__ = ["OpenAIAgentsConfig", "OpenAIAgentsSource"]
