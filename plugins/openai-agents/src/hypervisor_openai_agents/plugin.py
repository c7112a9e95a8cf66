"""The source, as the plugin that the user turns on."""

from collections.abc import Mapping
from typing import Literal

from attrs import define, field, frozen

from hypervisor_observability import hookimpl
from hypervisor_observability.sources import SourceContext
from hypervisor_openai_agents.attachment import Attachment
from hypervisor_openai_agents.spans import Spans


@frozen
class OpenAIAgentsConfig:
    """The table ``[plugins.openai-agents]``: no keys but those of every source."""


@define(eq=False)
class OpenAIAgentsSource:
    """Sees what agents of the OpenAI Agents SDK do.

    It hears of every trace and span of the SDK, beside the processors that the user has set, and
    whatever the user sets later.

    Attributes:
        config: Of the table.
        content: As the key of the table; for who makes the source in code.
        agents: Likewise.
    """

    config: OpenAIAgentsConfig = field(factory=OpenAIAgentsConfig)
    content: Literal["none", "names", "all"] = field(default="names", kw_only=True)
    agents: Mapping[str, str] = field(factory=dict, kw_only=True)
    _spans: Spans | None = field(default=None, init=False)
    _attachment: Attachment | None = field(default=None, init=False)

    Config = OpenAIAgentsConfig
    name = "openai-agents"
    targets = ("agents",)
    distribution = "openai-agents"
    # 0.14 tells of turns; a streamed run of 0.14.0 that a guardrail stops ends as if all were well.
    supports = ">=0.14.1,<1"

    @hookimpl
    def instrument(self, context: SourceContext) -> None:
        """Listen to the SDK's spans."""
        self._spans = Spans(context)
        self._attachment = Attachment.to(self._spans, context)

    @hookimpl
    def uninstrument(self) -> None:
        """Leave the SDK as it was, and end what was seen to begin and not to end."""
        if self._attachment is not None:
            self._attachment.detach()
            self._attachment = None
        if self._spans is not None:
            self._spans.end_all()
            self._spans = None
