"""The table ``[plugins.jaeger]``."""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from attrs import Attribute, field, frozen
from attrs.validators import ge, gt, in_, le

from hypervisor_jaeger.links import DEFAULT_UI_URL, checked_ui_url
from hypervisor_observability.config.paths import optional_absolute_path
from hypervisor_observability.config.secret import Secret
from hypervisor_otel import (
    MAX_TIMEOUT_SECONDS,
    check_client_certificate,
    max_request_bytes_field,
    show_endpoint,
    valid_endpoint,
    valid_headers,
)

DEFAULT_ENDPOINT = "http://127.0.0.1:4318"
"""Where Jaeger listens for OTLP/HTTP unless told otherwise (Jaeger 2, APIs)."""

_MAX_UPLOAD_SPANS = 1_000_000
_NO_FILE: Path | None = None  # annotated for the converter's type


def _valid_ui_url(_instance: object, _attribute: "Attribute[str]", url: str) -> None:
    checked_ui_url(url)


@frozen(kw_only=True)
class JaegerConfig:
    """What stands in ``[plugins.jaeger]``.

    Attributes:
        endpoint: URL of Jaeger's OTLP/HTTP receiver. ``/v1/traces`` is appended where it has
            no path.
        headers: Further headers of each request, such as a token.
        timeout_seconds: Longest time for one hook call, or one question of ``hvobs jaeger``,
            from looking the host's name up to the last byte of the answer.
        max_request_bytes: Most bytes of a request before it is compressed; what is larger is
            sent in several.
        compression: ``none`` or ``gzip``.
        ca_file: Certificates (PEM) to trust instead of the system's, for https.
        cert_file: The certificate (PEM) that is shown to a receiver that asks for one.
        key_file: Its private key (PEM, unencrypted).
        allow_link_local: Whether the endpoint may be a link-local address.
        service: What Jaeger calls the service; empty: the configuration's ``service``.
        service_per_agent: Whether each agent is a service of its own, called by its DID.
        pending_sessions: Whether the span of a session is sent when it begins, too. Jaeger
            shows both.
        sample_ratio: Which part of the traces is sent, from 0 to 1.
        upload_file: Where to write the newest spans for the upload in Jaeger's user
            interface; None: nowhere. Written when flushed and when stopped.
        upload_max_spans: How many spans that file holds at most.
        ui_url: Where Jaeger's user interface is, for links and for ``hvobs jaeger``.
        send_headers_to_ui: Whether ``hvobs jaeger`` sends ``headers`` there too.
    """

    endpoint: str = field(default=DEFAULT_ENDPOINT, validator=valid_endpoint, repr=show_endpoint)
    headers: Mapping[str, Secret] = field(factory=dict, validator=valid_headers)
    timeout_seconds: float = field(default=10.0, validator=[gt(0), le(MAX_TIMEOUT_SECONDS)])
    max_request_bytes: int = max_request_bytes_field()
    compression: Literal["none", "gzip"] = field(default="none", validator=in_(("none", "gzip")))
    ca_file: Path | None = field(default=_NO_FILE, converter=optional_absolute_path)
    cert_file: Path | None = field(default=_NO_FILE, converter=optional_absolute_path)
    key_file: Path | None = field(default=_NO_FILE, converter=optional_absolute_path)
    allow_link_local: bool = False
    service: str = ""
    service_per_agent: bool = False
    pending_sessions: bool = False
    sample_ratio: float = field(default=1.0, validator=[ge(0.0), le(1.0)])
    upload_file: Path | None = field(default=_NO_FILE, converter=optional_absolute_path)
    upload_max_spans: int = field(default=10_000, validator=[ge(1), le(_MAX_UPLOAD_SPANS)])
    ui_url: str = field(default=DEFAULT_UI_URL, validator=_valid_ui_url)
    send_headers_to_ui: bool = False

    def __attrs_post_init__(self) -> None:
        check_client_certificate(self.cert_file, self.key_file)
