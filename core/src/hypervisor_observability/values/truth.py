"""What says yes and what says no: one rule for what is recorded and for what is read."""

from ..threads.interruptions import ignoring

_FLAGS = {"true": True, "false": False}


def flag_of(value: object) -> bool | None:
    """Give whether *value*, of a payload, says yes or no; None if it says neither.

    Yes is True, 1 and ``"true"`` in any case; no is False, 0 and ``"false"``.
    """
    if value is None or value is True or value is False:
        return value
    if isinstance(value, str):
        return _FLAGS.get(value.lower())
    return bool(value) if isinstance(value, int | float) and value in {0, 1} else None


def as_bool(value: object) -> object:
    """Give an argument as True or False; *value* itself where it does not say which. Never raises.

    Text says what ``flag_of`` reads in it, anything else whether it is true. Libraries have
    booleans of their own, as numpy does.
    """
    with ignoring(Exception):  # an array of several, or a hostile __bool__
        if not isinstance(value, str):
            return bool(value)
        flag = flag_of(str.__str__(value))
        return value if flag is None else flag
    return value
