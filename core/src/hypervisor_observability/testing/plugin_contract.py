"""What each plugin that exports must hold, as tests for pytest.

Subclass ``PluginContract`` in a test, and say how the plugin is made and where it sends::

    class TestAcmePlugin(PluginContract):
        def make_receiver(self) -> HTTPReceiver:
            return HTTPReceiver()

        def make_plugin(self) -> object:
            return AcmePlugin(AcmeConfig(url=self.receiver.url, timeout_seconds=0.5))

pytest then finds every test of it. A test that fails says which rule is broken and what to do.
"""

from .plugin_away_contract import AwayContract
from .plugin_config_contract import ConfigContract
from .plugin_delivery_contract import DeliveryContract
from .plugin_life_contract import LifeContract
from .plugin_process_contract import ProcessContract
from .plugin_secrets_contract import SecretsContract


class PluginContract(
    ConfigContract,
    LifeContract,
    DeliveryContract,
    AwayContract,
    SecretsContract,
    ProcessContract,
):
    """All the tests."""
