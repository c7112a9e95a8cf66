"""Durations as text, the same wherever people read them."""


def duration_text(seconds: float) -> str:
    """Write a duration in the unit that suits it, in at most nine columns below 10 million hours.

    Args:
        seconds: Not negative.
    """
    microseconds = round(seconds * 1e6)
    if microseconds < 1_000:
        return f"{microseconds} us"
    milliseconds = round(seconds * 1e3)
    if milliseconds < 1_000:
        return f"{milliseconds} ms"
    if round(seconds, 2) < 60:
        return f"{seconds:.2f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} m {rest:02d} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} m" if hours < 100 else f"{hours} h"
