"""OpenTelemetry's variables: what they say, and what wins over them."""

from pathlib import Path

import pytest

from hypervisor_observability import Observability
from hypervisor_otel import OTelConfig, OTelPlugin, describe_service

BASE = "OTEL_EXPORTER_OTLP_ENDPOINT"


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for signal in ("", "TRACES_", "METRICS_", "LOGS_"):
        monkeypatch.delenv(f"OTEL_EXPORTER_OTLP_{signal}ENDPOINT", raising=False)
    for name in ("OTEL_SERVICE_NAME", "OTEL_RESOURCE_ATTRIBUTES", "OTEL_TRACES_SAMPLER"):
        monkeypatch.delenv(name, raising=False)


def endpoints(config: OTelConfig) -> tuple[str, str, str]:
    return config.endpoint, config.metrics_endpoint, config.logs_endpoint


def test_without_variables_everything_goes_to_this_machine() -> None:
    assert endpoints(OTelConfig()) == ("http://127.0.0.1:4318",) * 3
    assert endpoints(OTelConfig(protocol="grpc")) == ("http://127.0.0.1:4317",) * 3


def test_common_endpoint_gets_each_signals_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(BASE, "http://c:1/otlp/")

    assert endpoints(OTelConfig()) == (
        "http://c:1/otlp/v1/traces",
        "http://c:1/otlp/v1/metrics",
        "http://c:1/otlp/v1/logs",
    )
    assert endpoints(OTelConfig(protocol="grpc")) == ("http://c:1/otlp/",) * 3


def test_query_of_the_common_endpoint_stays_behind_the_path(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(BASE, "http://c:1/otlp/?token=a/b")

    assert endpoints(OTelConfig()) == (
        "http://c:1/otlp/v1/traces?token=a/b",
        "http://c:1/otlp/v1/metrics?token=a/b",
        "http://c:1/otlp/v1/logs?token=a/b",
    )


def test_signals_own_endpoint_is_taken_as_it_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(BASE, "http://c:1")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "http://m:2/write")

    assert endpoints(OTelConfig()) == (
        "http://c:1/v1/traces",
        "http://m:2/write",
        "http://c:1/v1/logs",
    )


def test_configured_endpoint_wins_for_all_signals(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "http://m:2/write")

    assert endpoints(OTelConfig(endpoint="http://own:1")) == ("http://own:1",) * 3
    assert endpoints(OTelConfig(endpoint="https://h/o/v1/traces?k=v")) == (
        "https://h/o/v1/traces?k=v",
        "https://h/o/v1/metrics?k=v",
        "https://h/o/v1/logs?k=v",
    )
    own = OTelConfig(endpoint="http://own:1", metrics_endpoint="http://other:1")
    assert own.metrics_endpoint == "http://other:1"


def test_path_that_tells_nothing_of_the_others_is_refused() -> None:
    with pytest.raises(ValueError, match="set 'metrics_endpoint'"):
        OTelConfig(endpoint="http://h/in", signals=("traces", "metrics"))
    with pytest.raises(ValueError, match="set 'logs_endpoint'"):
        OTelConfig(endpoint="http://h/in", signals=("logs",))

    assert OTelConfig(endpoint="http://h/in").endpoint == "http://h/in"
    assert OTelConfig(
        endpoint="http://h/in", logs_endpoint="http://h/logs", signals=("logs",)
    ).signals == ("logs",)


def test_protocol_compression_headers_and_certificate(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "api-key=a%3Db, x = y ,nothing,=z")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_CERTIFICATE", "/etc/ca.pem")

    config = OTelConfig()

    assert (config.protocol, config.compression) == ("grpc", "gzip")
    assert {name: value.reveal() for name, value in config.headers.items()} == {
        "api-key": "a=b",
        "x": "y",
    }
    assert config.ca_file == Path("/etc/ca.pem")
    own = OTelConfig(protocol="http/protobuf", compression="none", headers={})
    assert (own.protocol, own.compression, own.headers) == ("http/protobuf", "none", {})


def test_protocol_that_there_is_not_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json")

    with pytest.raises(ValueError, match="http/json"):
        OTelConfig()


def test_files_of_a_clients_certificate(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", "/etc/c.pem")
    with pytest.raises(ValueError, match="cert_file and key_file go together"):
        OTelConfig()
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_CLIENT_KEY", "/etc/k.pem")

    config = OTelConfig()

    assert (config.cert_file, config.key_file) == (Path("/etc/c.pem"), Path("/etc/k.pem"))


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        ("", 10.0),
        ("2500", 2.5),
        (" 1 ", 0.001),
        ("0", 10.0),
        ("-5", 10.0),
        ("soon", 10.0),
        ("nan", 10.0),
        ("9000000", 300.0),
        ("inf", 300.0),
    ],
)
def test_timeout_is_in_milliseconds(
    monkeypatch: pytest.MonkeyPatch, said: str, seconds: float
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", said)

    assert OTelConfig().timeout_seconds == seconds
    assert OTelConfig(timeout_seconds=1.0).timeout_seconds == 1.0


@pytest.mark.parametrize(("said", "down"), [("true", True), ("TRUE", True), ("1", False)])
def test_sdk_that_is_disabled_is_down_and_says_so(
    monkeypatch: pytest.MonkeyPatch, said: str, down: bool
) -> None:
    monkeypatch.setenv("OTEL_SDK_DISABLED", said)
    with Observability(plugins=[OTelPlugin()]) as observability:
        state = observability.states()["otelplugin"]

    assert state.startswith("down: RuntimeError: OTEL_SDK_DISABLED is true") == down


@pytest.mark.parametrize(
    ("sampler", "argument", "ratio"),
    [
        ("", "0.5", 1.0),
        ("traceidratio", "0.25", 0.25),
        ("parentbased_traceidratio", "0.25", 0.25),
        ("traceidratio", "", 1.0),
        ("traceidratio", "2", 1.0),
        ("traceidratio", "nan", 1.0),
        ("traceidratio", "half", 1.0),
        ("always_off", "", 0.0),
        ("parentbased_always_on", "", 1.0),
    ],
)
def test_sampler(
    sampler: str, argument: str, ratio: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", sampler)
    monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", argument)

    assert OTelConfig().sample_ratio == ratio
    assert OTelConfig(sample_ratio=0.75).sample_ratio == 0.75


def test_service_that_nobody_configured_is_named_by_the_variables(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert describe_service("agents", {})["service.name"] == "agents"
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "service.name=attribute,team=blue")
    assert describe_service("agents", {})["service.name"] == "attribute"
    monkeypatch.setenv("OTEL_SERVICE_NAME", "variable")
    assert describe_service("agents", {})["service.name"] == "variable"
    assert describe_service("shop", {})["service.name"] == "shop"
    assert describe_service("shop", {"team": "red"})["team"] == "red"
