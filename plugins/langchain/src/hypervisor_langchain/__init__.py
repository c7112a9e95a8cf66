"""Makes the work of LangChain and LangGraph into events."""

from .source import LangChainConfig, LangChainSource

__all__ = ["LangChainConfig", "LangChainSource"]
