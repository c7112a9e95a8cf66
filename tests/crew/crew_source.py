"""A source for that framework, as it should be."""

from collections.abc import Mapping
from typing import Any, ClassVar

from attrs import define, field, frozen

from hypervisor_observability import hookimpl
from hypervisor_observability.events.event_types import AGENT_HANDOFF, USAGE_RECORDED
from hypervisor_observability.recorder import HERE
from hypervisor_observability.sources import SourceContext
from tests.crew import crew


@frozen
class Config:
    """No keys of its own."""


@define(eq=False)
class Watching:
    """Is told of work by the framework, and writes it."""

    context: SourceContext

    def began(self, kind: str, number: str, parent: str | None, told: Mapping[str, Any]) -> None:
        """Record that work began."""
        says: dict[str, Any] = {"name": told["name"]}
        if kind == "agent":
            says["agent_did"] = self.context.did_of(told["name"])
        elif kind == "model":
            says = {"model": told["name"], "operation": "chat"}
        elif kind == "tool":
            says = {"tool_name": told["name"], "call_id": told["call_id"]}
            says |= self.context.content_of(arguments=told["arguments"])
        self.open(kind, number, parent, says)

    def open(self, kind: Any, number: str, parent: str | None, says: dict[str, Any]) -> None:
        """Open it; tools alone run code of others, which is to stand in them."""
        activate = kind == "tool"
        self.context.recorder.open(kind, number, parent or HERE, activate=activate, **says)

    def ended(self, number: str, error: BaseException | None, told: Mapping[str, Any]) -> None:
        """Record that it ended."""
        if "usage" in told:
            self.used(number, *told["usage"])
        status = "blocked" if "refused" in told else None
        self.context.recorder.close(number, error, status=status)

    def used(self, number: str, read: int, written: int) -> None:
        """Record what a model has used up."""
        self.context.recorder.point(
            USAGE_RECORDED, number, model="fake", input_tokens=read, output_tokens=written
        )

    def handed(self, number: str, to: str) -> None:
        """Record that an agent hands over."""
        self.context.recorder.point(AGENT_HANDOFF, number, to_agent=self.context.did_of(to))


@define(eq=False)
class Guarded:
    """The same behind guards."""

    began: Any
    ended: Any
    handed: Any


@define(eq=False)
class CrewSource:
    """The source."""

    config: Config = field(factory=Config)
    observer: Guarded | None = None

    Config = Config
    name = "crew"
    targets = ("tests.crew.crew",)
    watching: ClassVar[type[Watching]] = Watching

    @hookimpl
    def instrument(self, context: SourceContext) -> None:
        """Have the framework tell."""
        one = self.watching(context)
        guards = [context.guarded(call) for call in (one.began, one.ended, one.handed)]
        self.observer = Guarded(*guards)
        crew.observers.append(self.observer)

    @hookimpl
    def uninstrument(self) -> None:
        """Have it tell no more."""
        if self.observer is not None:
            crew.observers.remove(self.observer)
