"""The file for the upload in Jaeger's user interface."""

import json
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from pathlib import Path

from attrs import define, field

from hypervisor_jaeger.trace_document import trace_document
from hypervisor_observability.files.atomic_file import replace_file
from hypervisor_observability.spans.record import AttributeValue, FinishedSpan


@define(eq=False)
class UploadFile:
    """Keep the newest spans, and write them as one file when asked.

    Attributes:
        path: The file. It appears whole or not at all, readable by its owner alone.
        max_spans: How many spans are kept; the oldest go.
        process_tags: What to say of every service.
    """

    path: Path
    max_spans: int
    process_tags: Mapping[str, AttributeValue] = field(factory=dict)
    _spans: OrderedDict[tuple[str, str], tuple[str, FinishedSpan]] = field(
        factory=OrderedDict, init=False
    )
    _is_written: bool = field(default=True, init=False)

    def add(self, spans_by_service: Mapping[str, Sequence[FinishedSpan]]) -> None:
        """Take spans. One that was taken before, with a batch that is repeated, counts once."""
        for service, spans in spans_by_service.items():
            for span in spans:
                self._spans[span.trace_id, span.span_id] = (service, span)
        while len(self._spans) > self.max_spans:
            self._spans.popitem(last=False)
        self._is_written = False

    def write(self) -> None:
        """Write the file, unless nothing has come since it was written.

        Raises:
            OSError: It cannot be written. The file that was there stays as it was.
        """
        if self._is_written:
            return
        spans_by_service: dict[str, list[FinishedSpan]] = {}
        for service, span in self._spans.values():
            spans_by_service.setdefault(service, []).append(span)
        document = trace_document(spans_by_service, self.process_tags)
        # Ours are JSON's own types, so no other encoder is needed; ASCII has no surrogates.
        text = json.dumps(document, allow_nan=False)
        replace_file(self.path, text.encode("ascii"), make_folder=False)
        self._is_written = True
