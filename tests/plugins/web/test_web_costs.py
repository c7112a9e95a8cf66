"""Costs that nobody told are estimated on the page where the configuration, or the user, asks."""

import json
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from hypervisor_observability import Config, Observability
from hypervisor_observability.config import UsageConfig
from tests.plugins.web.served import serving
from tests.waiting import wait_until

Get = Callable[[str], Any]


def use(observability: Observability) -> None:
    recorder = observability.recorder
    with recorder.run("answer"), recorder.agent("did:mesh:a"):
        recorder.usage(model="gpt-4o", input_tokens=1_000_000, output_tokens=0)


def costs(get: Get) -> set[str]:
    """Give the costs that the boards and the trace tell."""
    wait_until(lambda: [one["tokens"] for one in get("/api/traces")["traces"]] == [1_000_000])
    (agent,), (trace,) = get("/api/agents")["agents"], get("/api/traces")["traces"]
    whole = get(f"/api/trace?id={trace['id']}")["usage"]["cost"]
    return {agent["cost"], trace["cost"], ", ".join(whole)}


def getter(url: str) -> Get:
    page = urlsplit(url)
    headers = {"Authorization": f"Bearer {page.fragment.removeprefix('token=')}"}

    def get(path: str) -> Any:
        request = urllib.request.Request(f"http://{page.netloc}{path}", headers=headers)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)

    return get


@pytest.mark.parametrize("estimate", [True, False])
def test_page_of_a_process_estimates_costs_if_its_configuration_says_so(*, estimate: bool) -> None:
    config = Config(usage=UsageConfig(estimate_cost=estimate), plugins={"web": {"port": 0}})
    with Observability(config) as observability:
        use(observability)
        told = costs(getter(observability.page_urls()["web"]))

    assert all(cost.startswith("~") for cost in told) if estimate else told == {""}
    assert len(told) == 1


def test_page_over_a_history_estimates_costs_if_it_is_asked_to(tmp_path: Path) -> None:
    config = Config(plugins={"journal": {"directory": str(tmp_path / "journal")}})
    with Observability(config) as observability:
        use(observability)

    with serving("--journal", tmp_path / "journal", "--port", 0, "--estimate-cost") as served:
        (told,) = costs(served.get)

    assert told.startswith("~")
