"""A framework of agents that nobody has, and a source for it, as files that can be imported."""

from pathlib import Path

from tests.distributions import plugins_of, write_distribution

FRAMEWORK = '''
"""Agents whose tools are functions."""

class Agent:
    def __init__(self, name, tool):
        self.name = name
        self.tool = tool

    def run(self, **arguments):
        return self.tool(**arguments)
'''

SOURCE = '''
from attrs import define, field, frozen

from hypervisor_observability import EventType, hookimpl

USED = EventType.custom("acme.agent_used")
log = []


@frozen
class Config:
    fails: str = ""
    """``begin``, ``half`` or ``end``: where it raises."""


@define(eq=False)
class AcmeSource:
    config: Config = field(factory=Config)
    context: object = None
    plain: object = None
    Config = Config
    name = "acme"
    targets = ("acme_agents",)
    supports = ">=1.0,<2"

    @hookimpl
    def instrument(self, context):
        import acme_agents

        log.append("instrument")
        self.context = context
        if self.config.fails == "begin":
            raise ValueError("cannot begin")
        self.plain = plain = acme_agents.Agent.run
        used = context.guarded(self.used)

        def run(agent, **arguments):
            used(agent, arguments)
            return plain(agent, **arguments)

        acme_agents.Agent.run = run
        if self.config.fails == "half":
            raise ValueError("cannot go on")

    def used(self, agent, arguments):
        content = self.context.content_of(arguments=arguments, prompt=f"use {agent.name}")
        with self.context.recorder.agent(f"did:acme:{agent.name}"):
            self.context.recorder.record(USED, **content)
        if agent.name == "odd":
            raise ValueError("an odd agent")

    @hookimpl
    def uninstrument(self):
        import acme_agents

        log.append("uninstrument")
        if self.plain is not None:
            acme_agents.Agent.run = self.plain
        if self.config.fails == "end":
            raise ValueError("cannot end")
'''


def install_acme(site: Path, *, version: str = "1.4") -> None:
    """Install the framework and its source into *site*, which the caller has on its path."""
    (site / "acme_agents.py").write_text(FRAMEWORK)
    (site / "acme_source.py").write_text(SOURCE)
    write_distribution(site, "acme-agents", version=version)
    write_distribution(site, "acme-source", plugins_of(acme="acme_source:AcmeSource"))
