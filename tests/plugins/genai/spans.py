"""Spans made by hand, through the SDK, with the source on."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

from attrs import frozen
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider

from hypervisor_genai import GenAISource
from hypervisor_observability import Observability
from hypervisor_observability.testing import check_payloads
from hypervisor_observability.testing.source_pieces import Seen


class AlwaysOn(GenAISource):
    """The source, which waits for no framework."""

    targets: ClassVar[Any] = ()
    supports: ClassVar[Any] = None
    each_target = False


@frozen(eq=False)
class Watch:
    """Spans, and what becomes of them.

    Attributes:
        observability: With the source.
        provider: Of the application, which it made after the source was on.
    """

    observability: Observability
    provider: TracerProvider

    def tracer(self, scope: str = "some.agents") -> trace.Tracer:
        """Give a tracer of an instrumentation."""
        return self.provider.get_tracer(scope)

    @property
    def seen(self) -> Seen:
        """Give what was seen so far, all of it valid."""
        seen = Seen.of(self.observability.bus.all_events)
        check_payloads(seen.events)
        assert not seen.stray
        return seen


@contextmanager
def watching(**chosen: Any) -> Iterator[Watch]:
    """Have the source on; nothing may go wrong in it."""
    source = type("Chosen", (AlwaysOn,), chosen)()
    with Observability(plugins=[source]) as observability:
        yield Watch(observability, TracerProvider(shutdown_on_exit=False))
    (status,) = observability.status()["sources"].values()
    assert status["errors"] == 0
