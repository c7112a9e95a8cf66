"""Names that a server answers to."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypervisor_observability.config.structuring import Origin, structure
from hypervisor_observability.serving.hosts import Hosts, check_host_name, host_of, is_wildcard
from hypervisor_observability.serving.settings import ServerSettings

HERE = ["localhost", "127.0.0.1", "::1", "127.9.9.9"]


@pytest.mark.parametrize(
    ("header", "host"),
    [
        ("agents.example:9478", "agents.example"),
        ("Agents.EXAMPLE.", "agents.example"),
        ("my_app:80", "my_app"),
        ("[::1]:80", "::1"),
        ("[0:0:0:0:0:0:0:1]", "::1"),
        ("127.0.0.1:", "127.0.0.1"),
        ("", ""),
    ],
)
def test_header_names_a_host(header: str, host: str) -> None:
    assert host_of(header) == host


@pytest.mark.parametrize(
    "header", ["a/b", "a?", "a#", "a@b", "[", "[::1", "::1", "a:b", "a b", "a,b", "ä", "%6c", "a\n"]
)
def test_header_that_could_be_read_in_two_ways_is_none(header: str) -> None:
    with pytest.raises(ValueError, match="a name or an address"):
        host_of(header)


@given(st.text(max_size=30))
def test_no_header_but_a_loopback_one_is_admitted(header: str) -> None:
    try:
        host = host_of(header)
    except ValueError:
        return
    if Hosts().admit(host):
        assert host == "localhost" or host == "::1" or host.startswith("127.")


@pytest.mark.parametrize(
    ("bound", "names", "admitted", "refused"),
    [
        ("127.0.0.1", [], [], ["agents.example", "10.0.0.5", ""]),
        ("127.0.0.1", ["agents.example"], ["agents.example"], ["10.0.0.5", ""]),
        ("10.0.0.5", [], ["10.0.0.5"], ["agents.example"]),
        ("10.0.0.5", ["Agents.Example"], ["agents.example"], ["10.0.0.5"]),
        ("0.0.0.0", [], ["agents.example", "10.0.0.5"], []),
        ("::", [], ["agents.example", "10.0.0.5"], []),
        ("", ["agents.example"], ["agents.example"], ["10.0.0.5", "attacker.example"]),
    ],
)
def test_names_follow_from_the_table(
    bound: str, names: list[str], admitted: list[str], refused: list[str]
) -> None:
    hosts = ServerSettings(host=bound, allow_remote=True, hosts=tuple(names)).names

    assert [one for one in [*HERE, *admitted, *refused] if hosts.admit(one)] == [*HERE, *admitted]


@pytest.mark.parametrize("host", ["", "0.0.0.0", "::", "0:0::0"])
def test_wildcards_are_known(host: str) -> None:
    assert is_wildcard(host)
    assert not is_wildcard("10.0.0.1")
    assert not is_wildcard("agents.example")


@pytest.mark.parametrize("name", ["agents.example", "my_app", "10.0.0.1", "::1", "a"])
def test_names_and_addresses_may_be_listed(name: str) -> None:
    check_host_name(name)


@pytest.mark.parametrize("name", ["", "http://a", "a:80", "*", "a/b", "[::1]", "-", "a."])
def test_anything_else_may_not_be_listed(name: str) -> None:
    where = ("plugins", "test")
    table = {"allow_remote": True, "hosts": [name]}
    _, found = structure(table, ServerSettings, Origin("test.toml"), where)

    assert len(found) == 1
    assert "without scheme and port, such as 'agents.example'" in str(found[0])


def test_other_names_need_the_switch_for_other_machines() -> None:
    table = {"hosts": ["agents.example"]}
    _, found = structure(table, ServerSettings, Origin("test.toml"), ("plugins", "test"))

    assert "set allow_remote = true too" in str(found[0])
