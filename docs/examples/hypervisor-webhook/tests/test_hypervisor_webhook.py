"""The contract of plugins, with a server that fails in every way; and what it is sent."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from hypervisor_observability import EventType, Observability
from hypervisor_observability.config import Secret
from hypervisor_observability.testing import HTTPReceiver, PluginContract
from hypervisor_webhook import WebhookConfig, WebhookPlugin


class TestWebhook(PluginContract):
    def make_receiver(self) -> HTTPReceiver:
        return HTTPReceiver()

    def make_plugin(self) -> object:
        config = WebhookConfig(self.receiver.url, Secret("hunter2"), timeout_seconds=0.5)
        return WebhookPlugin(config)

    def settings(self) -> Mapping[str, Any]:
        return {"url": "http://127.0.0.1:9999"}


def test_batch_is_posted_as_json_with_the_token() -> None:
    with HTTPReceiver() as receiver:
        plugin = WebhookPlugin(WebhookConfig(f"{receiver.url}/hook?room=7", Secret("hunter2")))
        with Observability(plugins=[plugin]) as observability:
            observability.bus.record(EventType.VFS_WRITE, payload={"path": "/srv/x"})
            assert observability.flush(timeout=60)

    (request,) = receiver.requests
    assert (request.method, request.path) == ("POST", "/hook?room=7")
    assert request.headers["authorization"] == "Bearer hunter2"
    (sent,) = json.loads(request.text)
    assert sent["payload"] == {"path": "/srv/x"}


@pytest.mark.parametrize("url", ["", "ftp://x", "http://", "http://a b"])
def test_what_is_no_url_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="must match"):
        WebhookConfig(url)
