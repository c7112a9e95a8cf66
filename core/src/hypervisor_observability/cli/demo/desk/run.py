"""The course of the help desk: in LangGraph where that is installed and seen, else in our terms."""

from collections.abc import Callable, Iterator

from attrs import frozen

from ....config import Config
from ....events.event import HypervisorEvent
from ....host.discovery import installed_plugins
from ....host.observability import Observability
from ..report import judge
from .graph import desk_of
from .plain import PlainDesk
from .story import Shop

FLUSH_SECONDS = 4.0
"""How long the backends are given to take everything."""

SOURCE = "langchain"
"""The plugin that sees LangGraph."""


@frozen
class Served:
    """What has happened.

    Attributes:
        answer: What the agents have answered.
        events: Every event, in order.
        problems: What plugins have not taken.
    """

    answer: str
    events: tuple[HypervisorEvent, ...]
    problems: tuple[str, ...]


def serve(say: Callable[[str], object], observability: Observability | None = None) -> Served:
    """Have the agents see to a request, and record it.

    Args:
        say: Is told each thing that happens, in a line.
        observability: Of the user, not started; None: one of our own, without a backend.

    Raises:
        ConfigError: The plugin cannot be used.
    """
    if observability is None:
        tables: dict[str, dict[str, object]] = {SOURCE: {}} if SOURCE in installed_plugins() else {}
        observability = Observability(Config(service="hvobs-demo", plugins=tables))
    with observability:
        run, terms = _desk(observability, Shop(say))
        say(f"the agents run in {terms}")
        answer = run()
        say(f"the answer: {answer}")
        observability.flush(FLUSH_SECONDS)
        problems = tuple(_problems(observability))
        return Served(answer, tuple(observability.bus.all_events), problems)


def _desk(observability: Observability, shop: Shop) -> tuple[Callable[[], str], str]:
    """Give what runs the agents, and whose terms it is written in."""
    plain = PlainDesk(observability.recorder, shop).run
    states = observability.states()
    if SOURCE not in states:
        lack = "on" if SOURCE in installed_plugins() else "installed"
        return plain, f"plain Python: the plugin hypervisor-langchain is not {lack}"
    try:
        run = desk_of(shop)
    except ModuleNotFoundError:
        return plain, "plain Python: LangGraph is not installed"
    except ImportError as error:
        return plain, f"plain Python: this LangGraph is another one: {error}"
    state = observability.states()[SOURCE]
    if state != "running":
        return plain, f"plain Python: {SOURCE} is {state}"
    return run, "LangGraph"


def _problems(observability: Observability) -> Iterator[str]:
    """Say what was not taken in time, and which plugins are down."""
    counts = observability.counts()
    for name, state in observability.states().items():
        if name in counts:
            report = judge(name, state, counts[name], None)
            yield from (f"{name}: {problem}" for problem in report.problems)
