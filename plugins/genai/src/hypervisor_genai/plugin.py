"""The source: agents of several frameworks, seen through their spans."""

from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, ClassVar

from attrs import define, field

from hypervisor_genai.config import GenAIConfig
from hypervisor_observability import hookimpl
from hypervisor_observability.sources import SourceContext

if TYPE_CHECKING:  # else the SDK is loaded where no framework is
    from hypervisor_genai.providers import Providers

_INSTRUMENTATIONS = "opentelemetry.instrumentation.instrumentor"
"""What the instrumentations of OpenTelemetry, OpenInference and OpenLLMetry are built on."""
_SDK = "opentelemetry.sdk.trace"
"""What an application imports that makes such spans by hand."""


@define(eq=False)
class GenAISource:
    """Sees agents through the GenAI spans of OpenTelemetry.

    Attributes:
        config: Its table.
    """

    config: GenAIConfig = field(factory=GenAIConfig)
    # Threads that import two frameworks at once come at once: setdefault says who was first.
    _providers: "dict[str, Providers]" = field(factory=dict, init=False)
    _undo: list[Callable[[], None]] = field(factory=list, init=False)

    Config = GenAIConfig
    name = "genai"
    targets: ClassVar[tuple[str, ...]] = (
        "pydantic_ai",
        "google.adk",
        "agent_framework",
        "autogen_core",
        "mcp",
        _INSTRUMENTATIONS,
        _SDK,
    )
    supports: ClassVar[Mapping[str, str]] = MappingProxyType(
        {
            "pydantic_ai": ">=2.40,<3",
            "google.adk": ">=2.10,<3",
            "agent_framework": ">=1.20,<2",
            "autogen_core": ">=0.7,<0.8",
            "mcp": ">=2,<3",
        }
    )
    each_target = True

    @hookimpl
    def instrument(self, context: SourceContext) -> None:
        """See the spans of all providers, and have the framework make some."""
        # A target, too: if this is its first import, the source comes here again, and is done
        # before our own modules, which need it, are halfway imported.
        import opentelemetry.sdk.trace  # noqa: F401

        from hypervisor_genai.processor import GenAIProcessor
        from hypervisor_genai.providers import Providers
        from hypervisor_genai.spans import Spans
        from hypervisor_genai.switches import turned_on

        spans = Spans(context)
        made = Providers(
            GenAIProcessor(spans, context.guarded, here=True),
            GenAIProcessor(spans, context.guarded, here=False),
            context.guarded,
        )
        providers = self._providers.setdefault("", made)
        if providers is made:
            self._undo.append(partial(spans.end_all, "the source has stopped"))
            providers.begin()
        undo = turned_on(context.target, providers, context.content)
        if undo is not None:
            self._undo.append(undo)

    @hookimpl
    def uninstrument(self) -> None:
        """Leave the frameworks, the API and the SDK as they were, and end what is open."""
        while self._undo:
            self._undo.pop()()
        for providers in [self._providers.pop(key) for key in list(self._providers)]:
            providers.end()
