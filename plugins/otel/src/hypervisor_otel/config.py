"""The table ``[plugins.otel]``, and the checks that other plugins which send OTLP share."""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from attrs import Attribute, field, frozen
from attrs.validators import gt, in_, le

from hypervisor_observability.config.secret import Secret
from hypervisor_otel.endpoint import TRACES_PATH, is_link_local, parse_endpoint

DEFAULT_ENDPOINT = "http://127.0.0.1:4318"
"""Where a collector listens for OTLP/HTTP unless told otherwise (OTLP specification)."""

MAX_TIMEOUT_SECONDS = 300.0
"""Longest time that one request may be given."""

# RFC 9110, section 5.6.2: what a header's name may consist of.
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
# RFC 9110, section 5.5, without its obsolete letters beyond ASCII.
_HEADER_VALUE = re.compile(r"[\t -~]*")
_OWN_HEADERS = frozenset(
    {
        "connection",
        "content-encoding",
        "content-length",
        "content-type",
        "expect",
        "host",
        "transfer-encoding",
    }
)
_OWN_ATTRIBUTES = frozenset(
    {"service.name", "telemetry.sdk.language", "telemetry.sdk.name", "telemetry.sdk.version"}
)


def default_endpoint() -> str:
    """The endpoint where the configuration names none.

    It is what OpenTelemetry's environment variables say, as its specification has it
    (Protocol Exporter, Endpoint URLs for OTLP/HTTP): ``OTEL_EXPORTER_OTLP_TRACES_ENDPOINT``
    as it stands, else ``OTEL_EXPORTER_OTLP_ENDPOINT`` with ``/v1/traces`` appended, else
    ``http://127.0.0.1:4318``.
    """
    traces = os.environ.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "").strip()
    if traces:
        return traces
    base = os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT", "").strip()
    return base.rstrip("/") + TRACES_PATH if base else DEFAULT_ENDPOINT


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


def valid_headers(
    _instance: object, _attribute: "Attribute[Mapping[str, Secret]]", headers: Mapping[str, Secret]
) -> None:
    """Check names and values of additional headers.

    Raises:
        ValueError: A name is malformed or one that the sender sets itself, or a value holds
            what no header may hold. Values are never shown.
    """
    for name, value in headers.items():
        if not _TOKEN.fullmatch(name):
            msg = f"{name!r} is no name of an HTTP header"
            raise ValueError(msg)
        if name.lower() in _OWN_HEADERS:
            msg = f"the header {name} is set by the sender itself; leave it out"
            raise ValueError(msg)
        if not _HEADER_VALUE.fullmatch(value.reveal()):
            msg = f"the value of the header {name} holds line breaks or letters beyond ASCII"
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


@frozen(kw_only=True)
class OTelConfig:
    """What stands in ``[plugins.otel]``.

    Attributes:
        endpoint: URL of an OTLP/HTTP receiver. ``/v1/traces`` is appended where it has no
            path. The default is :func:`default_endpoint`.
        headers: Further headers of each request, such as an API key.
        timeout_seconds: Longest time for one request, from connecting to the last byte.
        compression: ``none`` or ``gzip``.
        resource: Further attributes that say where the spans come from.
        ca_file: Certificates (PEM) to trust instead of the system's, for https.
        allow_link_local: Whether the endpoint may be a link-local address.
    """

    endpoint: str = field(factory=default_endpoint, validator=valid_endpoint, repr=show_endpoint)
    headers: Mapping[str, Secret] = field(factory=dict, validator=valid_headers)
    timeout_seconds: float = field(default=10.0, validator=[gt(0), le(MAX_TIMEOUT_SECONDS)])
    compression: Literal["none", "gzip"] = field(default="none", validator=in_(("none", "gzip")))
    resource: Mapping[str, str] = field(factory=dict, validator=valid_resource)
    ca_file: Path | None = None
    allow_link_local: bool = False
