"""Our own exporting plugins pass the contract that other authors' are held against."""

from hypervisor_jaeger import JaegerConfig, JaegerPlugin
from hypervisor_observability.config import Secret
from hypervisor_observability.testing import HTTPReceiver, OTLPReceiver, PluginContract, UDPReceiver
from hypervisor_otel import OTelConfig, OTelPlugin
from hypervisor_prometheus import PrometheusConfig, PrometheusPlugin
from hypervisor_statsd import StatsDConfig, StatsDPlugin
from tests.kit.post_plugin import PostConfig, PostPlugin

TOKEN = "hunter2-of-the-contract"


class TestPost(PluginContract):
    def make_receiver(self) -> HTTPReceiver:
        return HTTPReceiver()

    def make_plugin(self) -> object:
        receiver = self.receiver
        return PostPlugin(PostConfig(receiver.host, receiver.port, Secret(TOKEN), 0.5))


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
    def make_plugin(self) -> object:
        return PrometheusPlugin(PrometheusConfig(port=0, password=Secret(TOKEN)))
