"""What a payload says about an exception."""

# By name: importing asyncio for one of its classes would cost more than this whole package.
_INTERRUPTIONS = {
    "Cancelled": "cancelled",
    "CancelledError": "cancelled",
    "GeneratorExit": "closed early",
    "KeyboardInterrupt": "interrupted",
    "SystemExit": "exited",
}


def describe(error: BaseException | None) -> dict[str, object]:
    """Give what a payload says about *error*: nothing if there is none. Never raises.

    Returns:
        ``error``, the message, or the type where there is none; ``reason``, one line for
        people, with the type, or how the work was interrupted; ``error_type``, with its
        module unless that is ``builtins``.
    """
    if error is None:
        return {}
    kind = type(error)
    name = kind.__name__
    message = _message(error) or name
    if isinstance(error, Exception) or name not in _INTERRUPTIONS:
        reason = name if message == name else f"{name}: {message}"
    else:
        reason = _INTERRUPTIONS[name]
    error_type = name if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    return {"error": message, "reason": reason, "error_type": error_type}


def _message(error: BaseException) -> str:
    try:
        return str.__str__(str(error))  # a plain string, whatever subclass of it was given
    except Exception:  # noqa: BLE001 - a hostile __str__ has no message
        return ""
