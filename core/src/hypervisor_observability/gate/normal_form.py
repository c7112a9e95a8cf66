"""Normal form: values that JSON (RFC 8259) can say exactly, with secrets taken out."""

import math
from typing import Any

from attrs import define, field

from ..events.json_values import free_key, json_text
from ..text.utf8_text import encodable
from .redaction import REDACTED, Redaction


@define(eq=False)
class NormalForm:
    """One conversion of the values of a payload, whose depth was bounded when it was copied.

    Attributes:
        redaction: Finds secrets; None: they stay.
        redacted: How many values were redacted, in whole or in part.
    """

    redaction: Redaction | None
    redacted: int = field(default=0, init=False)

    def value(self, value: Any) -> Any:
        """Convert a value."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return self.dict(value)
        if isinstance(value, (list, tuple)):
            return [self.value(item) for item in value]
        if isinstance(value, (set, frozenset)):
            return [self.value(item) for item in sorted(value, key=repr)]
        if isinstance(value, float) and not math.isfinite(value):
            return {"_tag": "float", "text": str(value)}
        return value

    def dict(self, values: dict[Any, Any]) -> dict[str, Any]:
        """Convert a dict; keys that are not strings become strings."""
        result: dict[str, Any] = {}
        for key, value in values.items():
            name = json_text(key)
            redaction = self.redaction
            hidden = (
                redaction is not None
                and redaction.hides(name)
                and redaction.hides_value(name, value)
            )
            name = self.text(name)
            name = free_key(name, result)  # what was converted may look like another key
            if hidden:
                # Another reader's gate may have taken it out before.
                self.redacted += value != REDACTED
                result[name] = REDACTED
            else:
                result[name] = self.value(value)
        return result

    def text(self, text: str) -> str:
        """Convert a string."""
        text = encodable(text)
        if self.redaction is not None:
            text, found = self.redaction.without_secrets(text)
            self.redacted += found
        return text
