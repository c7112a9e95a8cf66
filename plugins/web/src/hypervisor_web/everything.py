"""All that the page is made of, put together: the same in a process and over a history."""

import logging
from collections.abc import Callable, Iterator

from attrs import define, field

from hypervisor_observability.config import Secret
from hypervisor_observability.serving.pages import Page, Request
from hypervisor_observability.serving.site import Site
from hypervisor_web.config import WebConfig
from hypervisor_web.feed.endpoints import Feed, Surroundings
from hypervisor_web.feed.moments import Moments
from hypervisor_web.feed.observers import Board, Observers
from hypervisor_web.feed.ring import Ring
from hypervisor_web.feed.seeking import Seeking
from hypervisor_web.site import make_site, token_for


@define(eq=False)
class Model:
    """What is known of the events.

    Attributes:
        config: How much is kept.
        boards: What is made of each event.
        observers: The newest events; ``take`` is given all that come.
        moments: When they came, and which went wrong.
        token: What viewers have to show.
    """

    config: WebConfig
    boards: list[Board] = field(factory=list, init=False)
    observers: Observers = field(init=False)
    moments: Moments = field(init=False)
    token: Secret = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.token = token_for(self.config)
        ring = Ring(self.config.max_events, self.config.max_bytes)
        self.moments = Moments(ring)
        self.boards.append(self.moments)
        self.observers = Observers(ring, self.boards)

    def endpoints(self, surroundings: Surroundings) -> dict[str, Callable[[Request], Page]]:
        """Give what the page may ask, by its paths."""
        return {
            **Feed(self.observers, surroundings).pages(),
            **Seeking(self.observers, self.moments).pages(),
        }

    def streams(
        self, surroundings: Surroundings
    ) -> dict[str, Callable[[Request], Iterator[bytes]]]:
        """Give the streams that it may listen to, by their paths."""
        return Feed(self.observers, surroundings).streams()


def whole_site(model: Model, surroundings: Surroundings, logger: logging.Logger) -> Site:
    """Give all that is served.

    Args:
        model: What is known of the events.
        surroundings: What the page says of itself.
        logger: Told of answers that cannot be made.
    """
    return make_site(
        model.config,
        model.token,
        logger,
        model.endpoints(surroundings),
        model.streams(surroundings),
    )
