"""The cases of sources: what a framework's agent costs that is seen."""

from benchmarks.goals import Case, Environment, Goal, Row, Side, Unit

_MS = Unit.MILLISECONDS
_GROUP = "Agents that are seen"
_NAMES = {"langgraph": "LangGraph", "openai-agents": "OpenAI Agents SDK"}


def agent_cases(*, quick: bool) -> list[Case]:
    """An agent with one tool and two calls of its model: unseen, seen by us, by openinference."""
    goals = {"nobody": Goal(cost=1.15), "openinference": Goal(times=1)}
    return [
        _case(framework, other, goal, quick=quick)
        for framework in _NAMES
        for other, goal in goals.items()
    ]


def _case(framework: str, other: str, goal: Goal, *, quick: bool) -> Case:
    def side(by: str) -> Side:
        options = {"framework": framework, "by": by, "runs": 20 if quick else 60}
        return Side(Environment.FRAMEWORKS, "agents", options)

    name, against = _NAMES[framework], "unseen" if other == "nobody" else other
    return Case(
        name=f"{framework}-{other}",
        group=_GROUP,
        other_name=against,
        ours=side("us"),
        other=side(other),
        rows=tuple(
            Row(title=f"{name}, {what}, against {against}", measure=measure, unit=_MS, goal=goal)
            for what, measure in (("an agent made for the run", "made"), ("one made before", "run"))
        ),
        rounds=11,
        # Where a process lies in memory makes some percent.
        fresh=True,
    )
