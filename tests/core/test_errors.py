import copy
import pickle  # noqa: TID251 - that it works is promised

import pytest
from attrs.exceptions import FrozenInstanceError

from hypervisor_observability.errors import (
    ConfigError,
    ConfigProblem,
    ObservabilityError,
    Reject,
    RetryLater,
)

WRONG_TYPE = ConfigProblem("hv.toml", 6, "plugins.statsd.host", "expected a string, got 5")
UNKNOWN_KEY = ConfigProblem("hv.toml", 7, "plugins.statsd.prot", "unknown key")


def test_problem_names_file_line_key_and_what_is_wrong() -> None:
    assert str(WRONG_TYPE) == "hv.toml:6: plugins.statsd.host: expected a string, got 5"


def test_problem_leaves_out_what_there_is_not() -> None:
    assert str(ConfigProblem("Config(...)", None, "", "no plugin")) == "Config(...): no plugin"


def test_problem_cannot_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        WRONG_TYPE.line = 8  # type: ignore[misc]  # what is tested


def test_single_problem_is_the_whole_message() -> None:
    assert str(ConfigError([WRONG_TYPE])) == str(WRONG_TYPE)


def test_several_problems_are_told_at_once_under_their_sources() -> None:
    elsewhere = ConfigProblem("other.toml", 1, "", "empty")
    error = ConfigError(iter([WRONG_TYPE, UNKNOWN_KEY, elsewhere]))

    assert error.problems == (WRONG_TYPE, UNKNOWN_KEY, elsewhere)
    assert str(error).splitlines() == [
        "hv.toml, other.toml: 3 problems",
        f"  {WRONG_TYPE}",
        f"  {UNKNOWN_KEY}",
        f"  {elsewhere}",
    ]


def test_retry_tells_how_long_the_backend_wants_to_be_left_alone() -> None:
    assert RetryLater("busy", after=1.5).after == 1.5
    assert str(RetryLater("busy", after=1.5)) == "busy"
    assert RetryLater().after is None


@pytest.mark.parametrize(
    "error", [ConfigError([UNKNOWN_KEY]), RetryLater("busy", after=3.0), Reject("too old")]
)
def test_every_error_is_an_observability_error_that_survives_pickle_and_copy(
    error: ObservabilityError,
) -> None:
    assert isinstance(error, ObservabilityError)
    for again in (pickle.loads(pickle.dumps(error)), copy.copy(error)):  # noqa: S301 - written in this line
        assert type(again) is type(error)
        assert str(again) == str(error)
        assert vars(again) == vars(error)
