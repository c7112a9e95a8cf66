"""Our own exporting plugins pass the contract that other authors' are held against."""

import runpy
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from unittest import SkipTest

from hypervisor_jaeger import JaegerConfig, JaegerPlugin
from hypervisor_observability.config import Secret
from hypervisor_observability.testing import HTTPReceiver, OTLPReceiver, PluginContract, UDPReceiver
from hypervisor_otel import OTelConfig, OTelPlugin
from hypervisor_prometheus import PrometheusConfig, PrometheusPlugin
from hypervisor_statsd import StatsDConfig, StatsDPlugin
from tests.http_client import ask
from tests.kit.grpc_receiver import GRPCReceiver
from tests.kit.post_plugin import PostConfig, PostPlugin

EXAMPLE = Path(__file__).parents[2] / "docs/examples/hypervisor-console/src/hypervisor_console.py"
TOKEN = "hunter2-of-the-contract"


CONSOLE = runpy.run_path(str(EXAMPLE))


class TestPost(PluginContract):
    def make_receiver(self) -> HTTPReceiver:
        return HTTPReceiver()

    def make_plugin(self) -> object:
        receiver = self.receiver
        return PostPlugin(PostConfig(receiver.host, receiver.port, Secret(TOKEN), 0.2))


class TestOTel(PluginContract):
    def make_receiver(self) -> OTLPReceiver:
        return OTLPReceiver()

    def make_plugin(self) -> object:
        config = OTelConfig(
            endpoint=self.receiver.url,
            headers={"Authorization": Secret(TOKEN)},
            signals=("traces", "metrics", "logs"),
            timeout_seconds=0.5,
        )
        return OTelPlugin(config)


class TestJaeger(PluginContract):
    def make_receiver(self) -> OTLPReceiver:
        return OTLPReceiver()

    def make_plugin(self) -> object:
        headers = {"Authorization": Secret(TOKEN)}
        return JaegerPlugin(
            JaegerConfig(endpoint=self.receiver.url, headers=headers, timeout_seconds=0.5)
        )


class TestStatsD(PluginContract):
    promise = "at-most-once"
    deadline_seconds = 3.0

    def make_receiver(self) -> UDPReceiver:
        return UDPReceiver()

    def make_plugin(self) -> object:
        return StatsDPlugin(StatsDConfig(host=self.receiver.host, port=self.receiver.port))


class TestPrometheus(PluginContract):
    made: list[PrometheusPlugin]

    def make_plugin(self) -> object:
        self.made = [*getattr(self, "made", ()), PrometheusPlugin(PrometheusConfig(port=0))]
        return self.made[-1]

    def arrived(self) -> Sequence[str]:
        """Give what a scrape shows of each that serves."""
        pages = []
        for plugin in self.made:
            with suppress(OSError):
                pages.append(ask(plugin.port).text)
        return self.ids_in(*pages)


class TestGuardedPrometheus(TestPrometheus):
    def make_plugin(self) -> object:
        return PrometheusPlugin(PrometheusConfig(port=0, password=Secret(TOKEN)))

    def arrived(self) -> Sequence[str]:
        raise SkipTest("without a password, another class sees to that")


class TestGRPC(PluginContract):
    def make_receiver(self) -> GRPCReceiver:
        return GRPCReceiver()

    def make_plugin(self) -> object:
        config = OTelConfig(
            protocol="grpc",
            endpoint=f"http://{self.receiver.host}:{self.receiver.port}",
            headers={"authorization": Secret(TOKEN)},
            signals=("traces", "logs"),
            timeout_seconds=0.5,
        )
        return OTelPlugin(config)


class TestConsole(PluginContract):
    def make_plugin(self) -> object:
        plugin: object = CONSOLE["ConsolePlugin"](
            CONSOLE["ConsoleConfig"](file=str(self.directory / "events"))
        )
        return plugin

    def arrived(self) -> Sequence[str]:
        return self.ids_in(*(self.directory / "events").read_text("utf-8").splitlines())
