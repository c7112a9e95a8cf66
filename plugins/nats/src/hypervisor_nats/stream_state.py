"""The state of the stream, and whether it is still the stream that was read before."""

from collections.abc import Mapping
from typing import Any

from attrs import frozen


@frozen
class StreamState:
    """What the server reports of the stream.

    Attributes:
        created: When it was created, as the server writes it: a recreated stream of the same name
            has another time.
        first: Number of its first message.
        last: Number of its last message.
        bytes: What its messages take.
    """

    created: str
    first: int
    last: int
    bytes: int

    def goes_on_from(self, before: "StreamState | None", position: int) -> bool:
        """Tell whether this is the stream that was read up to *position*: neither recreated nor
        restored to an earlier state.
        """
        return self.last >= position and (before is None or self.created == before.created)


def state_values(info: Mapping[str, Any]) -> dict[str, Any]:
    """Give the fields of a ``StreamState`` from the server's answer to ``STREAM.INFO``."""
    state = info["state"]
    return {
        "created": str(info["created"]),
        "first": int(state["first_seq"]),
        "last": int(state["last_seq"]),
        "bytes": int(state["bytes"]),
    }
