"""The help desk without a framework: a loop around a model, recorded by hand."""

from attrs import define

from ....recorder import Recorder
from .story import ANSWERS, BILLING, HAND_OVER, MODEL, PROVIDER, TRIAGE, Answer, Shop, refusal

_MOST_ATTEMPTS = 2


@define(eq=False)
class PlainDesk:
    """Two agents, one of which hands over to the other.

    Attributes:
        recorder: Where their work is recorded.
        shop: What their tools work on.
    """

    recorder: Recorder
    shop: Shop

    def run(self) -> str:
        """Have them see to the request; give what they answer."""
        with self.recorder.run("desk", kind="graph"):
            self._agent(TRIAGE)
            self.recorder.handoff(BILLING, from_agent=TRIAGE)
            return self._agent(BILLING)

    def _agent(self, name: str) -> str:
        with self.recorder.agent(name, name=name):
            for answer in ANSWERS[name]:
                with self.recorder.model(MODEL, provider=PROVIDER):
                    self.recorder.usage(
                        model=MODEL,
                        provider=PROVIDER,
                        input_tokens=answer.input_tokens,
                        output_tokens=answer.output_tokens,
                    )
                if answer.tool:
                    self._use(name, answer)
        return answer.text

    def _use(self, agent: str, answer: Answer) -> None:
        why = refusal(agent, answer.tool)
        for attempt in range(1, _MOST_ATTEMPTS + 1):
            try:
                with self.recorder.tool(
                    answer.tool, attempt=attempt, arguments=[*answer.arguments]
                ) as call:
                    if why is not None:
                        self.shop.say(f"{agent}: refused: {why}")
                        call.block(why)
                    elif answer.tool != HAND_OVER:
                        getattr(self.shop, answer.tool)(**answer.arguments)
            except ConnectionError:
                if attempt == _MOST_ATTEMPTS:
                    raise
            else:
                return
