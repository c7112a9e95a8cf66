"""The table ``[plugins.otel]``, and the checks that other plugins which send OTLP share."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import attrs
from attrs import Attribute, field, frozen
from attrs.validators import deep_iterable, ge, gt, in_, le, min_len

from hypervisor_observability.config.class_fields import WRITTEN_AS
from hypervisor_observability.config.extras import needs
from hypervisor_observability.config.paths import optional_absolute_path
from hypervisor_observability.config.secret import Secret
from hypervisor_otel.client_tls import check_client_certificate
from hypervisor_otel.endpoint import LOGS_PATH, METRICS_PATH, is_link_local, parse_endpoint
from hypervisor_otel.headers import check_metadata, valid_headers
from hypervisor_otel.profiles import DEFAULT_PROFILES, PROFILES, ProfileName
from hypervisor_otel.sending import DEFAULT_MAX_REQUEST_BYTES
from hypervisor_otel.variables import (
    GRPC,
    HTTP,
    MAX_TIMEOUT_SECONDS,
    default_ca_file,
    default_cert_file,
    default_compression,
    default_endpoint,
    default_headers,
    default_key_file,
    default_protocol,
    default_sample_ratio,
    default_timeout_seconds,
    sibling_endpoint,
)

MIN_REQUEST_BYTES = 1_024
MAX_REQUEST_BYTES = 64 * 1024 * 1024
"""Bounds of ``max_request_bytes``; the greater one is what a collector's server can be told."""

SignalName = Literal["traces", "metrics", "logs"]
SIGNAL_NAMES: tuple[SignalName, ...] = ("traces", "metrics", "logs")
DEFAULT_SIGNALS: tuple[SignalName, ...] = ("traces",)

_OWN_ATTRIBUTES = frozenset(
    {"service.name", "telemetry.sdk.language", "telemetry.sdk.name", "telemetry.sdk.version"}
)


def show_endpoint(endpoint: str) -> str:
    """Give *endpoint* for a ``repr``: without a query, which may hold a token."""
    return repr(endpoint.partition("?")[0])


def valid_endpoint(
    instance: Any,
    _attribute: "Attribute[str]",
    endpoint: str,
) -> None:
    """Check an endpoint of a config class that also has ``allow_link_local``.

    Raises:
        ValueError: It is not usable; see :func:`hypervisor_otel.endpoint.parse_endpoint`.
    """
    host = parse_endpoint(endpoint).host
    if is_link_local(host) and not instance.allow_link_local:
        msg = (
            f"the host {host} is link-local, where clouds hand out credentials; "
            "set allow_link_local = true if a collector really listens there"
        )
        raise ValueError(msg)


def valid_resource(
    _instance: object, _attribute: "Attribute[Mapping[str, str]]", resource: Mapping[str, str]
) -> None:
    """Check additional attributes of the resource.

    Raises:
        ValueError: A name is empty, or is one that comes from elsewhere.
    """
    for name in resource:
        if not name:
            msg = "an attribute's name is empty"
            raise ValueError(msg)
        if name == "service.name":
            msg = "service.name is set by the key 'service' at the top of the configuration"
            raise ValueError(msg)
        if name in _OWN_ATTRIBUTES:
            msg = f"{name} is set by the plugin itself; leave it out"
            raise ValueError(msg)


def max_request_bytes_field() -> Any:
    """Make the field ``max_request_bytes`` of a config class."""
    return field(
        default=DEFAULT_MAX_REQUEST_BYTES,
        validator=[ge(MIN_REQUEST_BYTES), le(MAX_REQUEST_BYTES)],
        kw_only=True,
    )


def _check_paths(config: "OTelConfig") -> None:
    """Check that no signal goes where another's receiver listens.

    Raises:
        ValueError: The path of ``endpoint`` tells nothing of the other signals' paths.
    """
    if config.protocol == GRPC:
        return
    for signal, path, endpoint in (
        ("metrics", METRICS_PATH, config.metrics_endpoint),
        ("logs", LOGS_PATH, config.logs_endpoint),
    ):
        taken = parse_endpoint(config.endpoint).path
        if signal in config.signals and parse_endpoint(endpoint, path).path == taken:
            msg = f"the path of 'endpoint' does not end with /v1/traces; set '{signal}_endpoint'"
            raise ValueError(msg)


def _traces_endpoint(config: "OTelConfig") -> str:
    return default_endpoint(config.protocol)


def _metrics_endpoint(config: "OTelConfig") -> str:
    return sibling_endpoint(config.endpoint, "metrics", METRICS_PATH, config.protocol)


def _logs_endpoint(config: "OTelConfig") -> str:
    return sibling_endpoint(config.endpoint, "logs", LOGS_PATH, config.protocol)


def _endpoint_field(default: Any) -> Any:
    return field(
        default=attrs.Factory(default, takes_self=True),
        validator=valid_endpoint,
        repr=show_endpoint,
    )


@frozen(kw_only=True)
class OTelConfig:
    """What stands in ``[plugins.otel]``.

    Where a key is missing, OpenTelemetry's variable for it is read; see
    :mod:`hypervisor_otel.variables`.

    Attributes:
        protocol: ``http/protobuf`` or ``grpc``; the latter needs the extra ``grpc``.
        endpoint: URL of an OTLP receiver. Over HTTP ``/v1/traces`` is appended where it has no
            path; over gRPC its path means nothing.
        metrics_endpoint: Where metrics go; the default is the same receiver.
        logs_endpoint: Where log records go, likewise.
        signals: What is sent: ``traces``, ``metrics`` (the registry), ``logs`` (a record an
            event).
        headers: Further headers of each request, such as an API key.
        timeout_seconds: Longest time for one hook call: to look the host's name up, to connect,
            and for all requests that a batch takes, to the last byte of their answers.
        max_request_bytes: Most bytes of a request before it is compressed; what is larger is
            sent in several.
        compression: ``none`` or ``gzip``.
        resource: Further attributes that say where the telemetry comes from.
        profiles: Under which names spans tell what they know: ``hypervisor``, ``otel-genai``,
            ``openinference``.
        pending_sessions: Whether the span of a session is sent when it begins, too; it comes
            again, under the same ids, when the session has ended.
        sample_ratio: Which part of the traces is sent, from 0 to 1. All spans of a trace share
            its fate, here and in every process; ``keep_incidents`` adds others.
        ca_file: Certificates (PEM) to trust instead of the system's, for https.
        cert_file: The certificate (PEM) that is shown to a receiver that asks for one.
        key_file: Its private key (PEM, unencrypted).
        allow_link_local: Whether the endpoint may be a link-local address.
        global_: ``global`` in a table: whether the plugin sets OpenTelemetry's global
            TracerProvider, so that the spans of other instrumentation are sent along; needs
            the extra ``global``.
    """

    protocol: Literal["http/protobuf", "grpc"] = field(
        factory=default_protocol,
        validator=in_((HTTP, GRPC)),
        metadata=needs("grpc", "google.rpc", extra="hypervisor-otel[grpc]", when=GRPC),
    )
    # What a validator of an endpoint reads has to stand before it.
    allow_link_local: bool = False
    endpoint: str = _endpoint_field(_traces_endpoint)
    metrics_endpoint: str = _endpoint_field(_metrics_endpoint)
    logs_endpoint: str = _endpoint_field(_logs_endpoint)
    signals: tuple[SignalName, ...] = field(
        default=DEFAULT_SIGNALS,
        validator=[min_len(1), deep_iterable(in_(SIGNAL_NAMES))],
    )
    headers: Mapping[str, Secret] = field(factory=default_headers, validator=valid_headers)
    timeout_seconds: float = field(
        factory=default_timeout_seconds, validator=[gt(0), le(MAX_TIMEOUT_SECONDS)]
    )
    max_request_bytes: int = max_request_bytes_field()
    compression: Literal["none", "gzip"] = field(
        factory=default_compression, validator=in_(("none", "gzip"))
    )
    resource: Mapping[str, str] = field(factory=dict, validator=valid_resource)
    profiles: tuple[ProfileName, ...] = field(
        default=DEFAULT_PROFILES, validator=[min_len(1), deep_iterable(in_(PROFILES))]
    )
    pending_sessions: bool = False
    sample_ratio: float = field(factory=default_sample_ratio, validator=[ge(0.0), le(1.0)])
    ca_file: Path | None = field(factory=default_ca_file, converter=optional_absolute_path)
    cert_file: Path | None = field(factory=default_cert_file, converter=optional_absolute_path)
    key_file: Path | None = field(factory=default_key_file, converter=optional_absolute_path)
    global_: bool = field(
        default=False,
        metadata={
            WRITTEN_AS: "global",
            **needs("opentelemetry.sdk.trace", extra="hypervisor-otel[global]"),
        },
    )

    def __attrs_post_init__(self) -> None:
        _check_paths(self)
        check_client_certificate(self.cert_file, self.key_file)
        if self.protocol == GRPC:
            check_metadata(self.headers)

    def towards(self, endpoint: str) -> "OTelConfig":
        """Give the same configuration for the one signal that goes to *endpoint*."""
        return attrs.evolve(self, endpoint=endpoint, signals=DEFAULT_SIGNALS)
