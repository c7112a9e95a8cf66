"""Attributes as OTLP's key-value messages, cut to size and fit for UTF-8."""

from collections.abc import Collection, Iterable, Mapping

from google.protobuf.internal.containers import RepeatedCompositeFieldContainer
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue, KeyValueList

from hypervisor_observability.spans.record import AttributeValue

MAX_ATTRIBUTES = 128
"""Most attributes of a span, event or link: OpenTelemetry's default (SDK, Attribute Limits)."""

MAX_NAME_CHARACTERS = 256
"""Longest name of a span, an event or an attribute."""

MAX_TEXT_CHARACTERS = 4_096
"""Longest string in an attribute or a status. Backends cut or refuse beyond 1 to 32 KiB."""

_LEAST_INTEGER, _GREATEST_INTEGER = -(2**63), 2**63 - 1
_MAX_TIME_NS = 2**64 - 1
# Python refuses to write longer integers in decimal; see sys.set_int_max_str_digits.
_DECIMAL_BITS = 2_000


def fit_text(text: str, max_characters: int = MAX_TEXT_CHARACTERS) -> str:
    """Cut *text* and put U+FFFD in place of lone surrogates, which UTF-8 cannot hold."""
    if len(text) > max_characters:
        text = text[:max_characters]
    if text.isascii():
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def fit_integer(value: int) -> int | str:
    """Give *value*, or its digits if it has more than 64 bits; hexadecimal if it has many."""
    if _LEAST_INTEGER <= value <= _GREATEST_INTEGER:
        return value
    return fit_text(str(value) if value.bit_length() < _DECIMAL_BITS else hex(value))


def fit_time(time_ns: int) -> int:
    """Keep a time within OTLP's unsigned 64 bits, from 1970 to 2554."""
    return time_ns if 0 <= time_ns <= _MAX_TIME_NS else min(max(0, time_ns), _MAX_TIME_NS)


def encode_value(value: AttributeValue) -> AnyValue:
    """Give *value* as OTLP has it; an integer beyond 64 bits becomes a string."""
    message = AnyValue()
    _fill(message, value)
    return message


def encode_attributes(attributes: Mapping[str, AttributeValue]) -> tuple[list[KeyValue], int]:
    """Give *attributes* as OTLP has them, and how many were left out.

    Left out are those without a name and those beyond the first 128.
    """
    holder = KeyValueList()
    dropped = add_attributes(holder.values, attributes)
    return list(holder.values), dropped


def add_attributes(
    pairs: RepeatedCompositeFieldContainer[KeyValue], attributes: Mapping[str, AttributeValue]
) -> int:
    """Append *attributes* to a message's field, and give how many were left out.

    As ``encode_attributes``, but filled in place: a message that is given to the constructor
    of another one is copied, which more than doubles the time for a span.
    """
    named = first_named(attributes)
    add = pairs.add
    for name, value in named:
        pair = add()
        pair.key = fit_text(name, MAX_NAME_CHARACTERS)
        if type(value) is str:  # most are; this saves a call
            pair.value.string_value = fit_text(value)
        else:
            _fill(pair.value, value)
    return len(attributes) - len(named)


def _fill(message: AnyValue, value: AttributeValue) -> None:
    # A bool is an int.
    if isinstance(value, str):
        message.string_value = fit_text(value)
    elif isinstance(value, bool):
        message.bool_value = value
    elif isinstance(value, float):
        message.double_value = value
    elif not isinstance(value, int):
        # Of a span that somebody else made: its author's mistake must not cost the others.
        message.string_value = fit_text(str(value))  # type: ignore[unreachable]  # as just said
    elif isinstance(fit := fit_integer(value), str):
        message.string_value = fit
    else:
        message.int_value = fit


def first_named(
    attributes: Mapping[str, AttributeValue],
) -> Collection[tuple[str, AttributeValue]]:
    """Give those of *attributes* that have a name, the first 128 of them."""
    if len(attributes) <= MAX_ATTRIBUTES and "" not in attributes:
        return attributes.items()
    return [(name, value) for name, value in attributes.items() if name][:MAX_ATTRIBUTES]


def decode_attributes(pairs: Iterable[KeyValue]) -> dict[str, AttributeValue]:
    """Give what :func:`encode_attributes` was given. Values of other kinds are left out."""
    return {pair.key: value for pair in pairs if (value := _decode_value(pair.value)) is not None}


def _decode_value(value: AnyValue) -> AttributeValue | None:
    match value.WhichOneof("value"):
        case "string_value":
            return value.string_value
        case "bool_value":
            return value.bool_value
        case "int_value":
            return value.int_value
        case "double_value":
            return value.double_value
        case _:
            return None
