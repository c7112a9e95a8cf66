"""What the spans come from: the resource, on OpenTelemetry's own data model."""

from collections.abc import Mapping

from opentelemetry.sdk.resources import OTELResourceDetector, Resource

from hypervisor_observability import Config, __version__
from hypervisor_observability.spans.record import AttributeValue

SCOPE_NAME = "hypervisor-observability"
"""The name of the instrumentation scope and of the SDK: who made the spans."""

UNNAMED_SERVICE = Config().service
"""What ``service`` is where the configuration says nothing."""


def describe_service(service: str, attributes: Mapping[str, str]) -> dict[str, AttributeValue]:
    """Give the attributes of the resource that *service* is.

    ``OTEL_RESOURCE_ATTRIBUTES`` is the ground (OpenTelemetry, Resource SDK); *attributes*, from
    the configuration, win over it, and over both what is known for certain. A *service* that
    nobody has named gives way to ``OTEL_SERVICE_NAME`` and to the ``service.name`` of
    ``OTEL_RESOURCE_ATTRIBUTES``, in this order. No global provider is read or set.

    Args:
        service: Becomes ``service.name``.
        attributes: Further attributes.
    """
    detected = OTELResourceDetector().detect()
    named = detected.attributes.get("service.name")
    certain = {
        "service.name": str(named) if named and service == UNNAMED_SERVICE else service,
        "telemetry.sdk.language": "python",
        "telemetry.sdk.name": SCOPE_NAME,
        "telemetry.sdk.version": __version__,
    }
    resource = detected.merge(Resource({**attributes, **certain}))
    # What the detector reads, and all of ours, are strings.
    return {name: str(value) for name, value in resource.attributes.items()}
