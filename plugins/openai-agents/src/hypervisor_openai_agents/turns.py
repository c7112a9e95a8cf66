"""What each turn used, counted once, whatever spans the model makes.

Most models make a span of each call, with its usage: it counts. Others make one without, or none.
Then the turn tells: it is around the model's call and the tools that the model asked for.
"""

from collections.abc import Hashable, Mapping
from typing import Any

from attrs import frozen

from hypervisor_observability.events.event_types import USAGE_RECORDED
from hypervisor_observability.recorder import Recorder
from hypervisor_openai_agents.endings import shown_of
from hypervisor_openai_agents.frames import UNKNOWN_MODEL, usage_of_turn, went_through_model
from hypervisor_openai_agents.seats import Turn

Tokens = tuple[int, int]
"""Of the prompts and of the answers."""


@frozen
class Turns:
    """Records what is known of calls of models by their turns."""

    recorder: Recorder

    def call_reported(self, turn: Turn | None, key: Hashable, model: str, usage: object) -> None:
        """Take the end of a call that has a span, and the usage that it tells."""
        tokens = tokens_of(usage)
        if turn is not None:
            turn.call_key, turn.model = key, model
            turn.own = _sum(turn.own, tokens)
        self._report(key, model, tokens)

    def tool_begins(self, turn: Turn | None) -> None:
        """Take that the model of *turn* has asked for something: its call is over."""
        if turn is not None and turn.call_key is None:
            self._call(turn, None)

    def turn_ended(
        self, turn: Turn, usage: object, error: BaseException | None, *, hides: bool
    ) -> None:
        """Take the end of a turn, with the usage of all in it, and what ended it."""
        told = tokens_of(usage)
        if turn.call_key is None:
            error = error if _comes_from_call(error) else None
            # The SDK tells the usage of a turn that has asked a model, even if it is of 0 tokens.
            if error is not None or usage is not None:
                self._call(turn, error, hides=hides)
        own = turn.own
        if not any(own) and any(told):
            own = self._own_of(turn, told, failed=error is not None)
            self._report(turn.call_key, turn.model, own)
        if turn.outer is not None:
            turn.outer.inner = _sum(turn.outer.inner, _sum(own, turn.inner))

    def _own_of(self, turn: Turn, told: Tokens, *, failed: bool) -> Tokens:
        """Give what the model of a turn used, of which there is no report.

        The turn's usage is by how much that of the run has grown, so that of agents that its tools
        are is in it, and that of any that work at the same time.
        """
        answered = None if failed else usage_of_turn()
        if answered is not None:
            return tokens_of(answered)
        rest = _difference(told, turn.inner)
        return rest if min(rest) >= 0 else told

    def _call(self, turn: Turn, error: BaseException | None, *, hides: bool = False) -> None:
        """Record a call that nobody has told of, from the beginning of its turn until now."""
        turn.call_key = key = (turn.agent_key, "call", turn.start_ns)
        self.recorder.open(
            "model",
            key,
            turn.agent_key,
            model=turn.model or UNKNOWN_MODEL,
            operation="chat",
            timestamp_ns=turn.start_ns,
        )
        if error is None:
            self.recorder.close(key)
        else:
            shown, told = shown_of(error, hides=hides)
            self.recorder.close(key, shown, **told)

    def _report(self, key: Hashable, model: str, tokens: Tokens) -> None:
        if any(tokens):
            read, written = tokens
            self.recorder.point(
                USAGE_RECORDED, key, model=model, input_tokens=read, output_tokens=written
            )


def tokens_of(usage: Any) -> Tokens:
    """Read what a span tells of usage: a mapping, or the API's own object; none, if nothing."""
    return _count(usage, "input_tokens"), _count(usage, "output_tokens")


def _count(usage: Any, name: str) -> int:
    told = usage.get(name) if isinstance(usage, Mapping) else getattr(usage, name, None)
    return told if type(told) is int and told > 0 else 0


def _comes_from_call(error: BaseException | None) -> bool:
    """Tell whether what ended a turn has ended the call of its model.

    A cancellation has, in a turn without tools: nothing else in it takes long.
    """
    if error is None:
        return False
    return not isinstance(error, Exception) or went_through_model(error)


def _sum(one: Tokens, other: Tokens) -> Tokens:
    return one[0] + other[0], one[1] + other[1]


def _difference(one: Tokens, other: Tokens) -> Tokens:
    return one[0] - other[0], one[1] - other[1]
