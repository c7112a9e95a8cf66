"""The agents of the demonstration, and the policy that says which tools their rings allow."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from attrs import define, field, frozen

from ...recorder import Recorder
from ...recorder.agent import Agent


class Refused(Exception):  # noqa: N818 - it says what happened
    """The policy refused the use of a tool."""


@frozen
class Verdict:
    """What the policy says.

    Attributes:
        allowed: Whether the tool may be used.
        required_ring: The ring that it takes; None for a tool that nobody knows.
        reason: Why.
    """

    allowed: bool
    required_ring: int | None
    reason: str


@frozen
class Policy:
    """Which ring each tool takes; a tool that is not named is for nobody.

    Attributes:
        required_rings: The outermost ring that may use it, by tool; 0 is the innermost.
    """

    required_rings: Mapping[str, int]

    def evaluate(self, tool: str, ring: int) -> Verdict:
        """Decide whether an agent in *ring* may use *tool*."""
        required = self.required_rings.get(tool)
        if required is None:
            return Verdict(False, None, f"no policy knows {tool}")
        if ring <= required:
            return Verdict(True, required, f"{tool} takes ring {required}, and ring {ring} will do")
        return Verdict(False, required, f"{tool} takes ring {required}, not ring {ring}")


@define(eq=False)
class GovernedAgent:
    """An agent that asks the policy before it uses a tool.

    Attributes:
        name: What people call it.
        own_ring: Its ring when it is not elevated.
        policy: Whom it asks.
        recorder: Where all of it is recorded.
    """

    name: str
    own_ring: int
    policy: Policy
    recorder: Recorder
    _asked: int = field(default=0, init=False)
    _refused: int = field(default=0, init=False)
    # The ring of the running elevation, and until when (monotonic seconds).
    _elevated: tuple[int, float] | None = field(default=None, init=False)

    @property
    def did(self) -> str:
        """Its decentralised identifier."""
        return f"did:mesh:{self.name}"

    @property
    def ring(self) -> int:
        """The ring that it has at this moment."""
        if self._elevated is not None and time.monotonic() < self._elevated[1]:
            return self._elevated[0]
        return self.own_ring

    @property
    def trust_score(self) -> float:
        """How far it is trusted, 0 to 1000: the share of its questions that were not refused."""
        return 1000 * (1 - self._refused / self._asked) if self._asked else 1000

    @contextmanager
    def at_work(self) -> Iterator[Agent]:
        """Work, delegated by whoever is at work around this."""
        with self.recorder.agent(self.did, ring=self.own_ring, name=self.name) as agent:
            yield agent

    @contextmanager
    def elevated(self, ring: int, *, reason: str, ttl_seconds: float) -> Iterator[None]:
        """Have another ring for the length of the block, at most for *ttl_seconds*."""
        with self.recorder.elevation(self.own_ring, ring, reason=reason, ttl_seconds=ttl_seconds):
            self._elevated = (ring, time.monotonic() + ttl_seconds)
            try:
                yield
            finally:
                self._elevated = None

    def ask_for(self, tool: str) -> None:
        """Ask the policy for the use of *tool*; the decision is recorded, as is a breach.

        Raises:
            Refused: It is not allowed.
        """
        began = time.perf_counter_ns()
        verdict = self.policy.evaluate(tool, self.ring)
        evaluation_ms = (time.perf_counter_ns() - began) / 1e6
        self.recorder.decision(
            verdict.allowed, tool_name=tool, evaluation_ms=evaluation_ms, reason=verdict.reason
        )
        self._asked += 1
        if not verdict.allowed:
            self._refused += 1
            self.recorder.breach(
                tool, ring=self.ring, required_ring=verdict.required_ring, severity="high"
            )
            raise Refused(verdict.reason)
