"""Truth values that libraries make: numpy has booleans of its own, which no reader knows."""


def as_bool(value: object) -> object:
    """Give *value* as True or False; *value* itself where it does not say which. Never raises."""
    try:
        return bool(value)
    except Exception:  # noqa: BLE001 - an array of several, or a hostile __bool__
        return value
