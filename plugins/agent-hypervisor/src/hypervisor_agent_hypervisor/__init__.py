"""Sees what agent-hypervisor does: its sessions, sagas, rings, bonds and audits, as events."""

from hypervisor_agent_hypervisor.plugin import AgentHypervisorConfig, AgentHypervisorSource

__all__ = ["AgentHypervisorConfig", "AgentHypervisorSource"]
