"""Where the page is, for the application whose events it shows."""

import json
import urllib.request
from urllib.parse import urlsplit

from hypervisor_observability import Observability
from hypervisor_web import WebConfig, WebPlugin


def test_application_hears_the_address_with_the_token_while_it_is_served() -> None:
    plugin = WebPlugin(WebConfig(port=0))
    with Observability(plugins=[plugin]) as observability:
        found = urlsplit(observability.page_urls()["web"])
        name, _, token = found.fragment.partition("=")
        request = urllib.request.Request(
            f"http://{found.netloc}/api/about", headers={"Authorization": f"Bearer {token}"}
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            told = json.load(answer)

    assert name == "token"
    assert told["mode"] == "process"
    assert observability.page_urls() == {}
    assert plugin.page_url() is None
