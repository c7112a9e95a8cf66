"""All that the page asks, put together."""

from http import HTTPStatus
from pathlib import Path

import click
import pytest

from hypervisor_observability.errors import NoHistoryError
from hypervisor_observability.serving.pages import Refused, Request
from hypervisor_observability.stores import History
from hypervisor_web import WebConfig
from hypervisor_web.boards.health import Health
from hypervisor_web.everything import Model
from hypervisor_web.feed.endpoints import Surroundings


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (NoHistoryError("there is no journal in x"), "there is no journal in x"),
        (ConnectionError("no server answers"), "no server answers"),
        (click.UsageError("name a journal"), "name a journal"),
    ],
)
@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("/api/trace", {"id": "a"}),
        ("/api/past", {"until": "1"}),
        ("/api/session", {"id": "s"}),
    ],
)
def test_history_that_cannot_be_read_is_told_to_whoever_asks(
    tmp_path: Path, path: str, query: dict[str, str], error: Exception, reason: str
) -> None:
    def fails() -> History:
        raise error

    around = Surroundings(title="a", place=str(tmp_path), history=fails)  # type: ignore[arg-type]
    pages = Model(WebConfig()).endpoints(around, Health)

    with pytest.raises(Refused, match=f"the history cannot be read: {reason}") as refused:
        pages[path](Request(query=query))

    assert refused.value.status == HTTPStatus.SERVICE_UNAVAILABLE
