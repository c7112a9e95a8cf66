"""The source."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

from attrs import define, field, frozen

from hypervisor_observability import SourceContext, hookimpl

if TYPE_CHECKING:
    from hypervisor_langchain.work import Work


@frozen
class LangChainConfig:
    """No keys of its own."""


@define(eq=False)
class LangChainSource:
    """Makes the work of LangChain and LangGraph into events.

    Attributes:
        config: Of the table.
        content: As the key of the table, for who makes the source in code.
        agents: Likewise.
    """

    config: LangChainConfig = field(factory=LangChainConfig)
    content: Literal["none", "names", "all"] = field(default="names", kw_only=True)
    agents: Mapping[str, str] = field(factory=dict, kw_only=True)
    _work: "Work | None" = field(default=None, init=False)
    _variable: object = field(default=None, init=False)

    Config = LangChainConfig
    name = "langchain"
    targets = ("langchain_core",)
    supports = ">=1.0,<2"
    distribution = "langchain-core"

    @hookimpl
    def instrument(self, context: SourceContext) -> None:
        """Have LangChain call a handler of ours for all that it runs."""
        # They import LangChain, which is there by now.
        from hypervisor_langchain.handler import make_handler, register
        from hypervisor_langchain.work import Work

        self._work = Work(context)
        self._variable = register(make_handler(self._work))

    @hookimpl
    def uninstrument(self) -> None:
        """Take the handler back; what it has seen begin has ended with that."""
        variable, self._variable = self._variable, None
        if variable is not None:
            from hypervisor_langchain.handler import withdraw

            withdraw(variable)
        work, self._work = self._work, None
        if work is not None:
            work.end_all()
