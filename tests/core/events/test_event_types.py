import copy
import enum
import pickle  # noqa: TID251 - that it works is promised
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypervisor_observability.events import event_types
from hypervisor_observability.events.event_types import EventType

VALUES = [
    "session.created",
    "session.joined",
    "session.activated",
    "session.terminated",
    "session.archived",
    "ring.assigned",
    "ring.elevated",
    "ring.demoted",
    "ring.elevation_expired",
    "ring.breach_detected",
    "liability.vouch_created",
    "liability.vouch_released",
    "liability.slash_executed",
    "liability.fault_attributed",
    "liability.quarantine_entered",
    "liability.quarantine_released",
    "saga.created",
    "saga.step_started",
    "saga.step_committed",
    "saga.step_failed",
    "saga.compensating",
    "saga.completed",
    "saga.escalated",
    "saga.fanout_started",
    "saga.fanout_resolved",
    "saga.checkpoint_saved",
    "vfs.write",
    "vfs.delete",
    "vfs.snapshot",
    "vfs.restore",
    "vfs.conflict",
    "security.rate_limited",
    "security.agent_killed",
    "security.saga_handoff",
    "security.identity_verified",
    "audit.delta_captured",
    "audit.committed",
    "audit.gc_collected",
    "verification.behavior_drift",
    "verification.history_verified",
]

WORD = st.from_regex(r"[a-z][a-z0-9_]{0,9}", fullmatch=True)
CUSTOM = st.lists(WORD, min_size=2, max_size=5).map(".".join)


def test_the_forty_values_stand_in_their_order() -> None:
    assert [member.value for member in EventType] == VALUES


def test_categories_have_their_sizes() -> None:
    assert Counter(member.value.split(".")[0] for member in EventType) == {
        "session": 5,
        "ring": 5,
        "liability": 6,
        "saga": 10,
        "vfs": 5,
        "security": 4,
        "audit": 3,
        "verification": 2,
    }


def test_member_names_carry_the_category_where_they_need_it() -> None:
    for member in EventType:
        category, _, what = member.value.partition(".")
        with_category = category in {"session", "ring", "saga", "vfs", "audit"}
        expected = f"{category}_{what}" if with_category else what
        assert member.name == expected.upper()


def test_member_is_its_value() -> None:
    member: str = EventType.SESSION_CREATED

    assert member == "session.created"
    assert hash(EventType.SESSION_CREATED) == hash("session.created")
    assert EventType("ring.assigned") is EventType.RING_ASSIGNED
    assert EventType["VFS_WRITE"].value == "vfs.write"


@given(CUSTOM)
def test_custom_type_is_equal_and_hashable_by_value(value: str) -> None:
    one, other = EventType.custom(value), EventType.custom(value)

    assert one == other == value
    assert hash(one) == hash(other) == hash(value)
    assert isinstance(one, EventType)
    assert (one.value, one.name) == (value, value.upper().replace(".", "_"))


@given(CUSTOM)
def test_custom_type_survives_pickle_and_copy(value: str) -> None:
    custom = EventType.custom(value)
    for again in (pickle.loads(pickle.dumps(custom)), copy.copy(custom), copy.deepcopy(custom)):  # noqa: S301 - written in this line
        assert again == custom
        assert type(again) is EventType
        assert again.value == value


@pytest.mark.parametrize("member", EventType)
def test_member_stays_the_same_object_through_pickle_and_copy(member: EventType) -> None:
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        assert pickle.loads(pickle.dumps(member, protocol)) is member  # noqa: S301 - written in this line
    assert copy.copy(member) is copy.deepcopy(member) is member


def test_custom_types_do_not_join_the_forty() -> None:
    EventType.custom("acme.invoice_paid")

    assert len(EventType) == len(EventType.__members__) == 40
    with pytest.raises(ValueError, match="acme"):
        EventType("acme.invoice_paid")


def test_custom_gives_the_known_member_for_its_value() -> None:
    assert EventType.custom("session.created") is EventType.SESSION_CREATED


@pytest.mark.parametrize(
    "value",
    [
        "",
        "invoice",
        "Acme.paid",
        "acme.",
        ".paid",
        "acme..paid",
        "acme.9",
        "9acme.paid",
        "acme.paid\n",
        "acme.paid ",
        "acme.p\u00e4id",
        "acme.\u0661",
        "acme-x.paid",
        "a." + "b" * 127,
    ],
)
def test_custom_refuses_a_bad_name_and_shows_it(value: str) -> None:
    with pytest.raises(ValueError, match="not an event type"):
        EventType.custom(value)


def test_custom_takes_the_longest_name() -> None:
    assert EventType.custom("a." + "b" * 126).value == "a." + "b" * 126


def test_custom_refuses_what_is_no_string() -> None:
    with pytest.raises(TypeError):
        EventType.custom(5)  # type: ignore[arg-type]  # what is tested


class ForeignString(str, enum.Enum):
    ASSIGNED = "ring.assigned"
    OTHER = "other.thing"


class ForeignPlain(enum.Enum):
    ASSIGNED = "ring.assigned"
    NUMBER = 5


class Rude(str):
    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("no")

    def __hash__(self) -> int:
        raise RuntimeError("no")


def test_type_of_another_enumeration_is_taken_by_its_value() -> None:
    assert EventType.of(ForeignString.ASSIGNED) is EventType.RING_ASSIGNED
    assert EventType.of(ForeignPlain.ASSIGNED) is EventType.RING_ASSIGNED
    assert EventType.of(ForeignString.OTHER) == "other.thing"


def test_what_is_no_string_is_named_by_its_type() -> None:
    assert EventType.of(ForeignPlain.NUMBER).value == "int"
    assert EventType.of(None).value == "NoneType"
    assert EventType.of([]).value == "list"


def test_string_with_methods_of_its_own_runs_none_of_them() -> None:
    assert EventType.of(Rude("ring.assigned")) is EventType.RING_ASSIGNED
    assert type(EventType.of(Rude("x.y")).value) is str


@given(st.text())
def test_any_string_gives_a_type_of_bounded_length(text: str) -> None:
    assert EventType.of(text).value == text[:128]


def test_our_own_types_beyond_the_forty() -> None:
    assert event_types.GOVERNANCE_DECISION == "governance.decision"
    assert event_types.AGENT_FINISHED == "agent.finished"
    assert event_types.USAGE_RECORDED == "usage.recorded"
