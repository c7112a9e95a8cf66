"""Sites that are served, and stopped after the test."""

from collections.abc import Callable, Iterator

import pytest

from tests.core.serving.certificates import Certificates, make_certificates
from tests.core.serving.served_site import ServedSite, make_served


@pytest.fixture
def serve() -> Iterator[Callable[..., ServedSite]]:
    """Serve sites with settings of the test's."""
    made: list[ServedSite] = []

    def make(**settings: object) -> ServedSite:
        made.append(make_served(**settings))  # type: ignore[arg-type]  # as the test says
        return made[-1]

    yield make
    for served in made:
        served.server.stop()


@pytest.fixture
def served(serve: Callable[..., ServedSite]) -> ServedSite:
    """A site with the settings that there are by default."""
    return serve()


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """Certificates that are good for the run of the tests."""
    return make_certificates(tmp_path_factory.mktemp("tls"))
