"""What happens at the help desk: two agents, their tools, and what their models answer.

It is told twice, in the terms of LangGraph and in ours: nothing here is of either.
"""

from collections.abc import Callable, Mapping
from datetime import datetime

from attrs import define, field, frozen

from ....facts.prices import Prices

REQUEST = "Order A-17 arrived broken. I want my money back."
MODEL = "fake-1"
PROVIDER = "demo"
TRIAGE, BILLING = "triage", "billing"
HAND_OVER = f"transfer_to_{BILLING}"
"""The tool by which one agent hands over to the other."""

_DOLLARS_PER_INPUT, _DOLLARS_PER_OUTPUT = 2.5e-6, 10e-6


@frozen
class Answer:
    """What a model answers.

    Attributes:
        text: What it says; empty where it asks for a tool.
        tool: The tool that it asks for; empty: none.
        arguments: Of that, by name.
        input_tokens: Tokens that it read.
        output_tokens: Tokens that it wrote.
    """

    text: str = ""
    tool: str = ""
    arguments: Mapping[str, str] = field(factory=dict)
    input_tokens: int = 0
    output_tokens: int = 0


ANSWERS: Mapping[str, tuple[Answer, ...]] = {
    TRIAGE: (
        Answer(tool="refund", arguments={"order": "A-17"}, input_tokens=412, output_tokens=18),
        Answer(tool=HAND_OVER, input_tokens=467, output_tokens=11),
    ),
    BILLING: (
        Answer(tool="look_up", arguments={"order": "A-17"}, input_tokens=508, output_tokens=16),
        Answer(tool="refund", arguments={"order": "A-17"}, input_tokens=561, output_tokens=18),
        Answer("Your 42.00 EUR are on their way.", input_tokens=590, output_tokens=14),
    ),
}
"""What the model of each agent answers, one after the other."""


def refusal(agent: str, tool: str) -> str | None:
    """Say why the policy refuses a *tool* to an *agent*; None: it does not."""
    if tool == "refund" and agent != BILLING:
        return f"{tool} is for {BILLING} alone"
    return None


@define(eq=False)
class Shop:
    """What the tools work on.

    Attributes:
        say: Is told each thing that happens, in a line.
    """

    say: Callable[[str], object]
    _is_awake: bool = field(default=False, init=False)

    def look_up(self, order: str) -> str:
        """Look up an order.

        Raises:
            ConnectionError: The database sleeps; the next call finds it awake.
        """
        if not self._is_awake:
            self._is_awake = True
            self.say(f"{BILLING}: look_up failed: the database does not answer")
            raise ConnectionError("the database does not answer")
        self.say(f"{BILLING}: looked up {order} in the second attempt")
        return f"{order}: 42.00 EUR, delivered"

    def refund(self, order: str) -> str:
        """Refund an order."""
        self.say(f"{BILLING}: refunded {order}")
        return f"refunded {order}"


class DemoPrices(Prices):
    """What the tokens of the fake model would cost."""

    def __init__(self) -> None:
        super().__init__()
        self.name = "prices that the demonstration made up"

    def cost(
        self,
        model: str,
        provider: str,  # noqa: ARG002 - what it is asked with
        input_tokens: int,
        output_tokens: int,
        when: datetime,  # noqa: ARG002 - likewise
    ) -> float | None:
        """Give it for ``MODEL``."""
        if model != MODEL:
            return None
        return input_tokens * _DOLLARS_PER_INPUT + output_tokens * _DOLLARS_PER_OUTPUT
