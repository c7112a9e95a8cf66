"""Frameworks that make spans only if told so."""

from collections.abc import Callable, Mapping

from hypervisor_genai.providers import Providers

Undo = Callable[[], None]


def _pydantic_ai(providers: Providers, content: str) -> Undo | None:
    """Have the agents instrumented that say nothing of it themselves.

    Their spans go to our provider alone: an application that exports spans, and did not want
    those of its agents, exports none of them now. What it sets itself holds.
    """
    from opentelemetry.metrics import NoOpMeterProvider
    from pydantic_ai import Agent
    from pydantic_ai.models.instrumented import InstrumentationSettings

    before = Agent._instrument_default
    if before:
        return None
    ours = InstrumentationSettings(
        tracer_provider=providers.own,
        meter_provider=NoOpMeterProvider(),
        include_content=content != "none",
        include_binary_content=False,
    )
    Agent.instrument_all(ours)

    def undo() -> None:
        if Agent._instrument_default is ours:
            Agent.instrument_all(before)

    return undo


_SWITCHES: Mapping[str, Callable[[Providers, str], Undo | None]] = {"pydantic_ai": _pydantic_ai}
"""By the target after whose import they are turned."""


def turned_on(target: str, providers: Providers, content: str) -> Undo | None:
    """Have the framework make spans, if it has to be told; give what takes that back."""
    switch = _SWITCHES.get(target)
    return None if switch is None else switch(providers, content)
