"""Names in the stream are one token each, and come back as they were."""

import re

from hypothesis import given
from hypothesis import strategies as st

from hypervisor_nats.config import NatsConfig
from hypervisor_nats.names import (
    MAX_SERVICE_CHARACTERS,
    partition_of,
    subject_of,
    text_of,
    token_of,
)
from tests.plugins.nats.servers import ask_server


@given(st.text())
def test_text_is_one_token_and_comes_back(text: str) -> None:
    token = token_of(text)

    assert token
    assert not set(token) & set(".*> \t\r\n")
    assert text_of(token) == text


@given(st.text(), st.integers(1, 1_000))
def test_partition_is_one_of_them(run: str, partitions: int) -> None:
    assert 0 <= partition_of(run, partitions) < partitions


def test_subject_names_service_partition_and_run() -> None:
    run = "20261128T101112.123456Z-00ff"

    assert subject_of("hv.ev", "check out", run, 8) == (
        f"hv.ev.check=20out.{partition_of(run, 8)}.20261128T101112=2E123456Z-00ff"
    )


def test_server_takes_a_stream_of_ours(nats_config: NatsConfig) -> None:
    info = ask_server(nats_config, lambda jetstream: jetstream.stream_info(nats_config.stream))

    assert info.config.metadata is not None
    assert info.config.metadata["hv.partitions"] == "4"


@given(st.text(min_size=20))
def test_long_name_of_a_service_is_cut(service: str) -> None:
    token = subject_of("hv.ev", service * 9, "run", 8).split(".")[2]

    assert len(token) <= MAX_SERVICE_CHARACTERS
    assert token_of(service * 9).startswith(token)
    assert re.fullmatch(r"([A-Za-z0-9_-]|=[0-9A-F]{2})+", token)


def test_server_takes_a_message_of_a_service_with_a_long_name(nats_config: NatsConfig) -> None:
    subject = subject_of(nats_config.subject, "é" * 5_000, "run", 4)

    ack = ask_server(nats_config, lambda jetstream: jetstream.publish(subject, b""))

    assert ack.seq == 1
