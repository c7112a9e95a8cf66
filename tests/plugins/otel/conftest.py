"""What several tests of the OTLP plugin start: backends, senders, a certificate."""

import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import attrs
import pytest

from hypervisor_observability import PluginContext
from hypervisor_observability.testing import context_for
from hypervisor_otel import OTelConfig, OTLPSender
from tests.certificates import Certificate, make_certificate
from tests.plugins.otel import acts
from tests.plugins.otel.acts import Behaviour
from tests.plugins.otel.fake_backend import Connected, FakeBackend, StartBackend


@pytest.fixture
def context() -> PluginContext:
    return context_for("otel", service="checkout-agents")


@pytest.fixture
def start_backend() -> Iterator[StartBackend]:
    """Start fake backends: ``start_backend(behaviour, ...)``."""
    with ExitStack() as stack:

        def start(*behaviours: Behaviour) -> FakeBackend:
            fake = FakeBackend(behaviours or (acts.answering(200),))
            fake.start()
            stack.callback(fake.stop)
            return fake

        yield start


@pytest.fixture
def sender_to() -> Iterator[Callable[..., Any]]:
    """Make senders: ``sender_to(endpoint, signal, kind=GRPCSender, timeout_seconds=1.0)``."""
    with ExitStack() as stack:

        def make(endpoint: str, *signal: Any, kind: Any = OTLPSender, **settings: Any) -> Any:
            config = attrs.evolve(OTelConfig(endpoint=endpoint, timeout_seconds=5.0), **settings)
            sender = kind(config, logging.getLogger("tests.otel"), *signal)
            stack.callback(sender.close)
            return sender

        yield make


@pytest.fixture
def connected(start_backend: StartBackend, sender_to: Callable[..., Any]) -> Connected:
    """Start a backend and make a sender to it: ``connected(*behaviours, **settings)``."""

    def connect(*behaviours: Behaviour, **settings: Any) -> tuple[Any, FakeBackend]:
        backend = start_backend(*behaviours)
        return sender_to(backend.endpoint, **settings), backend

    return connect


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    folder = tmp_path_factory.mktemp("tls")
    made = Certificate(folder / "cert.pem", folder / "localhost.pem")
    make_certificate(made.file, made.key, "DNS:localhost")
    return made
