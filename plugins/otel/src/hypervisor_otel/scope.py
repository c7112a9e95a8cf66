"""The instrumentation scope: who made the telemetry, and which names it uses."""

from collections.abc import Collection

from opentelemetry.proto.common.v1.common_pb2 import InstrumentationScope

from hypervisor_observability import __version__
from hypervisor_otel.attributes import add_attributes
from hypervisor_otel.resource import SCOPE_NAME

SCHEMA_URL = "https://opentelemetry.io/schemas/1.44.0"
"""The version of OpenTelemetry's semantic conventions whose names are used."""

PROFILES_ATTRIBUTE = "agent.hypervisor.attribute_profiles"
"""The attribute of a scope that tells which profiles shaped its spans."""


def describe_scope(scope: InstrumentationScope, profiles: Collection[str] = ()) -> str:
    """Fill in *scope*, and give the ``schema_url`` that stands beside it.

    Args:
        scope: The message.
        profiles: Names of the attribute profiles of its spans.
    """
    scope.name = SCOPE_NAME
    scope.version = __version__
    if profiles:
        add_attributes(scope.attributes, {PROFILES_ATTRIBUTE: ",".join(profiles)})
    return SCHEMA_URL
