"""What OpenTelemetry's environment variables say, where the configuration says nothing.

Names and forms are those of its specification (Environment Variables; Protocol Exporter). A
variable that is empty counts as not set.
"""

import os
from pathlib import Path
from typing import Literal, cast
from urllib.parse import unquote

from hypervisor_observability.config.secret import Secret
from hypervisor_otel.endpoint import TRACES_PATH

DEFAULT_ENDPOINT = "http://127.0.0.1:4318"
"""Where a collector listens for OTLP/HTTP unless told otherwise (OTLP specification)."""

DEFAULT_GRPC_ENDPOINT = "http://127.0.0.1:4317"
"""Where it listens for OTLP/gRPC (the same)."""

DEFAULT_TIMEOUT_SECONDS = 10.0
"""How long a request may take unless told otherwise (OpenTelemetry's specification)."""

MAX_TIMEOUT_SECONDS = 300.0
"""Longest time that one request may be given."""

GRPC = "grpc"
HTTP = "http/protobuf"


def variable(name: str) -> str:
    """Give what the variable holds, without blanks around it."""
    return os.environ.get(name, "").strip()


def default_endpoint(protocol: str = HTTP) -> str:
    """The endpoint of traces where the configuration names none.

    It is ``OTEL_EXPORTER_OTLP_TRACES_ENDPOINT`` as it stands, else
    ``OTEL_EXPORTER_OTLP_ENDPOINT``, over HTTP with ``/v1/traces`` appended to its path, else
    ``http://127.0.0.1:4318``, or port 4317 for gRPC.
    """
    return signal_endpoint("traces", TRACES_PATH, protocol)


def signal_endpoint(signal: str, path: str, protocol: str) -> str:
    """The endpoint of *signal* where the configuration names none; see above."""
    own = variable(f"OTEL_EXPORTER_OTLP_{signal.upper()}_ENDPOINT")
    if own:
        return own
    base = variable("OTEL_EXPORTER_OTLP_ENDPOINT")
    if protocol == GRPC:
        return base or DEFAULT_GRPC_ENDPOINT
    url, mark, query = base.partition("?")
    return url.rstrip("/") + path + mark + query if base else DEFAULT_ENDPOINT


def sibling_endpoint(endpoint: str, signal: str, path: str, protocol: str) -> str:
    """The endpoint of *signal* at the receiver whose endpoint of traces is *endpoint*.

    Where *endpoint* is the default itself, the variables decide; else it is the same URL, over
    HTTP with *path* in place of ``/v1/traces`` at the end of its own.
    """
    if endpoint == default_endpoint(protocol):
        return signal_endpoint(signal, path, protocol)
    if protocol == GRPC:
        return endpoint
    url, mark, query = endpoint.partition("?")
    if not url.endswith(TRACES_PATH):
        return endpoint
    return url.removesuffix(TRACES_PATH) + path + mark + query


def default_protocol() -> Literal["http/protobuf", "grpc"]:
    """``OTEL_EXPORTER_OTLP_PROTOCOL``, else ``http/protobuf``. The configuration checks it."""
    said = variable("OTEL_EXPORTER_OTLP_PROTOCOL") or HTTP
    return cast('Literal["http/protobuf", "grpc"]', said)


def default_compression() -> Literal["none", "gzip"]:
    """``OTEL_EXPORTER_OTLP_COMPRESSION``, else ``none``. The configuration checks it."""
    said = variable("OTEL_EXPORTER_OTLP_COMPRESSION") or "none"
    return cast('Literal["none", "gzip"]', said)


def default_sample_ratio() -> float:
    """What ``OTEL_TRACES_SAMPLER`` and its argument ask for, where they ask for a ratio; else 1.

    A number that is none, or out of range, counts as not set, as OpenTelemetry has it.
    """
    sampler = variable("OTEL_TRACES_SAMPLER").removeprefix("parentbased_")
    if sampler == "always_off":
        return 0.0
    if sampler != "traceidratio":
        return 1.0
    try:
        ratio = float(variable("OTEL_TRACES_SAMPLER_ARG"))
    except ValueError:
        return 1.0
    return ratio if 0.0 <= ratio <= 1.0 else 1.0


def default_timeout_seconds() -> float:
    """``OTEL_EXPORTER_OTLP_TIMEOUT``, which is in milliseconds, else 10 s.

    What is no number above 0 counts as not set; what is too long is cut.
    """
    try:
        seconds = float(variable("OTEL_EXPORTER_OTLP_TIMEOUT")) / 1_000
    except ValueError:
        return DEFAULT_TIMEOUT_SECONDS
    return min(seconds, MAX_TIMEOUT_SECONDS) if seconds > 0 else DEFAULT_TIMEOUT_SECONDS


def default_ca_file() -> Path | None:
    """``OTEL_EXPORTER_OTLP_CERTIFICATE``, if set."""
    return _file("OTEL_EXPORTER_OTLP_CERTIFICATE")


def default_cert_file() -> Path | None:
    """``OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE``, if set."""
    return _file("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE")


def default_key_file() -> Path | None:
    """``OTEL_EXPORTER_OTLP_CLIENT_KEY``, if set."""
    return _file("OTEL_EXPORTER_OTLP_CLIENT_KEY")


def refuse_if_disabled() -> None:
    """Obey ``OTEL_SDK_DISABLED``, which turns OpenTelemetry off whatever is configured.

    Raises:
        RuntimeError: It is ``true``, in whatever case.
    """
    if variable("OTEL_SDK_DISABLED").lower() == "true":
        msg = "OTEL_SDK_DISABLED is true: unset it, or leave [plugins.otel] out"
        raise RuntimeError(msg)


def _file(name: str) -> Path | None:
    said = variable(name)
    return Path(said) if said else None


def default_headers() -> dict[str, Secret]:
    """``OTEL_EXPORTER_OTLP_HEADERS``: ``name=value`` pairs, percent-encoded, joined by commas.

    What is no pair is left out.
    """
    pairs = (each.partition("=") for each in variable("OTEL_EXPORTER_OTLP_HEADERS").split(","))
    return {
        unquote(name).strip(): Secret(unquote(value).strip())
        for name, equals, value in pairs
        if equals and name.strip()
    }
