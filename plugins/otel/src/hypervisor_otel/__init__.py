"""OpenTelemetry for governed multi-agent systems: spans, metrics and logs over OTLP.

``[plugins.otel]`` in the configuration turns :class:`OTelPlugin` on. The other names are for
plugins that speak OTLP to a backend of their own.
"""

from hypervisor_otel.attributes import MAX_NAME_CHARACTERS, fit_integer, fit_text
from hypervisor_otel.client_tls import check_client_certificate, client_context
from hypervisor_otel.config import (
    OTelConfig,
    max_request_bytes_field,
    show_endpoint,
    valid_endpoint,
)
from hypervisor_otel.connection import Answer, Connection, ForbiddenAddress
from hypervisor_otel.encoding import encode_groups, encode_spans, request_of_spans
from hypervisor_otel.endpoint import Endpoint, parse_endpoint
from hypervisor_otel.headers import valid_headers
from hypervisor_otel.meter_exporter import OTelMetricsExporter
from hypervisor_otel.plugin import OTelPlugin
from hypervisor_otel.profiles import span_attributes
from hypervisor_otel.request import Request
from hypervisor_otel.resource import SCOPE_NAME, describe_service
from hypervisor_otel.sender import OTLPSender, SenderSettings
from hypervisor_otel.sending import ENCODING_SECONDS
from hypervisor_otel.span_sink import OTelSpanSink
from hypervisor_otel.variables import MAX_TIMEOUT_SECONDS, default_endpoint

__all__ = [
    "ENCODING_SECONDS",
    "MAX_NAME_CHARACTERS",
    "MAX_TIMEOUT_SECONDS",
    "SCOPE_NAME",
    "Answer",
    "Connection",
    "Endpoint",
    "ForbiddenAddress",
    "OTLPSender",
    "OTelConfig",
    "OTelMetricsExporter",
    "OTelPlugin",
    "OTelSpanSink",
    "Request",
    "SenderSettings",
    "check_client_certificate",
    "client_context",
    "default_endpoint",
    "describe_service",
    "encode_groups",
    "encode_spans",
    "fit_integer",
    "fit_text",
    "max_request_bytes_field",
    "parse_endpoint",
    "request_of_spans",
    "show_endpoint",
    "span_attributes",
    "valid_endpoint",
    "valid_headers",
]
