"""Head sampling: which traces are sent, decided by their ids alone. Pure."""

_IDS = 1 << 64


def is_sampled(trace_id: str, ratio: float) -> bool:
    """Whether the trace is among the part of *ratio*.

    As OpenTelemetry's SDK decides (TraceIdRatioBased), so that its services and ours keep the
    same traces of those that they share.

    Args:
        trace_id: 32 hexadecimal digits.
        ratio: From 0 to 1.
    """
    return int(trace_id[16:], 16) < round(ratio * _IDS)
