"""Agents seen through the GenAI spans of OpenTelemetry."""

from hypervisor_genai.config import GenAIConfig
from hypervisor_genai.plugin import GenAISource

__all__ = ["GenAIConfig", "GenAISource"]
