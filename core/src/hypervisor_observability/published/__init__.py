"""Modules under the names that agent-hypervisor gives them: ``hypervisor.observability.*``."""
