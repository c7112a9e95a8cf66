"""The table ``[plugins.otel]``: what is taken, what is refused, what is never shown."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypervisor_observability.config import DeliveryConfig, PluginTable, structure_plugin_table
from hypervisor_observability.config.secret import Secret
from hypervisor_otel import OTelConfig
from hypervisor_otel.endpoint import is_link_local, parse_endpoint


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("url", "address", "target"),
    [
        ("http://127.0.0.1:4318", "http://127.0.0.1:4318/v1/traces", "/v1/traces"),
        ("http://collector:4318/", "http://collector:4318/v1/traces", "/v1/traces"),
        ("https://otlp.example/otlp/traces", "https://otlp.example/otlp/traces", "/otlp/traces"),
        ("http://h/p?token=abc", "http://h/p", "/p?token=abc"),
        ("http://h?token=abc", "http://h/v1/traces", "/v1/traces?token=abc"),
        ("https://h:443", "https://h/v1/traces", "/v1/traces"),
        ("http://[::1]:4318", "http://[::1]:4318/v1/traces", "/v1/traces"),
        ("HTTP://Collector:80", "http://collector/v1/traces", "/v1/traces"),
        ("http://[::1%25lo]:4318", "http://[::1%25lo]:4318/v1/traces", "/v1/traces"),
    ],
)
def test_endpoint_gets_the_path_of_traces_only_where_it_has_none(
    url: str, address: str, target: str
) -> None:
    endpoint = parse_endpoint(url)

    assert endpoint.address == address
    assert endpoint.target == target
    assert "abc" not in repr(endpoint)


@pytest.mark.fault("F8")
@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("", "empty"),
        ("127.0.0.1:4318", "http://"),
        ("collector:4318", "http://"),
        ("file:///etc/passwd", "http://"),
        ("ftp://h", "http://"),
        ("http://", "host"),
        ("http://:4318", "host"),
        ("http://h:0", "got 0"),
        ("http://h:99999", "1 to 65535"),
        ("http://h:http", "1 to 65535"),
        ("http://[::1", "malformed host"),
        ("http://user:hunter2@h:4318", "user information"),
        ("http://h/#part", "fragment"),
        ("http://h%25lo:4318", "without '%'"),
        ("http://[::1%25]:4318", "without '%'"),
        ("http://[::1%25a%0d%0ab]:4318", "malformed host|without '%'"),
        ("http://[::1%25a%0a]:4318", "malformed host|without '%'"),
        ("http://[fe80::1%25eth0]:4318", "link-local"),
        ("http://[fe80::1%eth0]:4318", "link-local"),
        ("http://h/a b", "blanks"),
        ("http://h/\r\nX: y", "control"),
        ("http://bücher.example", "xn--"),
        ("http://169.254.169.254", "link-local"),
        ("http://[fe80::1]:4318", "link-local"),
        ("http://[fd00:ec2::254]", "link-local"),
        ("http://[::ffff:169.254.169.254]", "link-local"),
        ("http://2852039166", "link-local"),
        ("http://0xa9fea9fe/", "link-local"),
    ],
)
def test_unusable_endpoint_is_refused_without_showing_secrets(url: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason) as refusal:
        OTelConfig(endpoint=url)

    assert "hunter2" not in str(refusal.value)
    assert len(str(refusal.value)) <= 200


def test_link_local_endpoint_is_taken_when_allowed() -> None:
    config = OTelConfig(endpoint="http://169.254.1.1:4318", allow_link_local=True)

    assert config.endpoint == "http://169.254.1.1:4318"


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "::1", "10.0.0.1", "example.com"])
def test_ordinary_hosts_are_not_link_local(host: str) -> None:
    assert not is_link_local(host)


@given(st.text(max_size=60))
def test_any_text_is_an_endpoint_or_a_value_error(text: str) -> None:
    for url in (text, f"http://{text}"):
        try:
            endpoint = parse_endpoint(url)
        except ValueError:
            continue
        assert endpoint.host
        assert 1 <= endpoint.port <= 65_535
        assert endpoint.path.startswith("/")


def test_endpoint_falls_back_to_the_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    assert OTelConfig().endpoint == "http://127.0.0.1:4318"

    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://base:4318/otlp/")
    assert OTelConfig().endpoint == "http://base:4318/otlp/v1/traces"

    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://traces:4318/t")
    assert OTelConfig().endpoint == "http://traces:4318/t"
    assert OTelConfig(endpoint="http://own:1").endpoint == "http://own:1"


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("", "v", "no name"),
        ("a b", "v", "no name"),
        ("a\r\nb", "v", "no name"),
        ("Content-Type", "v", "sender itself"),
        ("host", "v", "sender itself"),
        ("Accept-Encoding", "gzip", "sender itself"),
        ("te", "trailers", "sender itself"),
        ("api-key", "hunter2\r\nX: y", "line breaks"),
        ("api-key", "hunter2\ud800", "beyond ASCII"),
    ],
)
def test_unusable_header_is_refused_without_showing_its_value(
    name: str, value: str, reason: str
) -> None:
    with pytest.raises(ValueError, match=reason) as refusal:
        OTelConfig(headers={name: Secret(value)})

    assert "hunter2" not in str(refusal.value)


@pytest.mark.parametrize(
    ("resource", "reason"),
    [
        ({"": "x"}, "empty"),
        ({"service.name": "x"}, "'service' at the top"),
        ({"telemetry.sdk.name": "x"}, "plugin itself"),
    ],
)
def test_attributes_that_come_from_elsewhere_are_refused(
    resource: dict[str, str], reason: str
) -> None:
    with pytest.raises(ValueError, match=reason):
        OTelConfig(resource=resource)


@pytest.mark.parametrize("seconds", [0, -1, float("nan"), float("inf"), 301])
def test_timeout_out_of_range_is_refused(seconds: float) -> None:
    with pytest.raises(ValueError, match="timeout_seconds"):
        OTelConfig(timeout_seconds=seconds)


def test_unknown_compression_is_refused() -> None:
    with pytest.raises(ValueError, match="compression"):
        OTelConfig(compression="zstd")  # type: ignore[arg-type] # what is tested


def test_unknown_profile_is_told_with_those_that_there_are() -> None:
    table = PluginTable("otel", {"profiles": ["all"]})

    _, _, (problem,) = structure_plugin_table(table, OTelConfig, DeliveryConfig())

    assert problem.message == (
        "expected one of 'hypervisor', 'otel-genai', 'openinference', got the string 'all'"
    )
    assert OTelConfig().profiles == ("hypervisor", "otel-genai")


@pytest.mark.fault("F10")
def test_repr_shows_no_secret() -> None:
    config = OTelConfig(endpoint="http://h/p?token=hunter2", headers={"k": Secret("hunter2")})

    assert "hunter2" not in repr(config)
    assert "http://h/p" in repr(config)


def test_whole_table_is_structured() -> None:
    table = PluginTable(
        "otel",
        {
            "endpoint": "https://otlp.example",
            "headers": {"api-key": "hunter2"},
            "timeout_seconds": 5,
            "compression": "gzip",
            "resource": {"deployment.environment.name": "production"},
            "ca_file": "ca.pem",
        },
    )

    config, _, problems = structure_plugin_table(table, OTelConfig, DeliveryConfig())

    assert not problems
    assert config == OTelConfig(
        endpoint="https://otlp.example",
        headers={"api-key": Secret("hunter2")},
        timeout_seconds=5.0,
        compression="gzip",
        resource={"deployment.environment.name": "production"},
        ca_file=Path("ca.pem"),
    )


def test_every_problem_of_the_table_is_told() -> None:
    table = PluginTable(
        "otel",
        {
            "endpoint": "http://169.254.169.254",
            "headers": {"api-key": 5},
            "timeout_seconds": 0,
            "compression": "brotli",
            "endpiont": "x",
        },
    )

    config, _, problems = structure_plugin_table(table, OTelConfig, DeliveryConfig())

    assert config is None
    assert {problem.key for problem in problems} == {
        "plugins.otel.endpoint",
        "plugins.otel.headers.api-key",
        "plugins.otel.timeout_seconds",
        "plugins.otel.compression",
        "plugins.otel.endpiont",
    }


def test_zone_of_an_address_is_for_this_machine_alone() -> None:
    endpoint = parse_endpoint("http://[fe80::1%25eth0]:4318")

    assert endpoint.host == "fe80::1%eth0"
    assert endpoint.server_name == "fe80::1"
    assert endpoint.authority == "[fe80::1]:4318"


def test_header_that_stands_there_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="twice"):
        OTelConfig(headers={"Api-Key": Secret("a"), "api-key": Secret("b")})


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("x!y", "v", "no name that gRPC takes"),
        ("grpc-timeout", "1S", "one of its own"),
        ("GRPC-Timeout", "1S", "one of its own"),
        ("x-key", "hunter2\tb", "holds a tab"),
        ("x-key-bin", "hunter2!", "Base64"),
        ("x-key-bin", "abcde", "Base64"),
    ],
)
def test_header_that_grpc_does_not_take_is_refused_there_alone(
    name: str, value: str, reason: str
) -> None:
    OTelConfig(headers={name: Secret(value)})

    with pytest.raises(ValueError, match=reason) as refusal:
        OTelConfig(protocol="grpc", headers={name: Secret(value)})

    assert "hunter2" not in str(refusal.value)


@given(st.text(max_size=12), st.text(max_size=12))
def test_any_header_is_refused_or_fit_for_one_line(name: str, value: str) -> None:
    try:
        OTelConfig(headers={name: Secret(value)})
    except ValueError:
        return
    line = f"{name}: {value}"
    assert line.isascii()
    assert len(line.splitlines()) == 1


@pytest.mark.parametrize("size", [0, 1_023, 64 * 1024 * 1024 + 1])
def test_bound_of_a_request_out_of_range_is_refused(size: int) -> None:
    with pytest.raises(ValueError, match="max_request_bytes"):
        OTelConfig(max_request_bytes=size)
