"""Spans as Jaeger's users want them: few operations, and services that say who worked."""

import re
from collections.abc import Iterable

import attrs

from hypervisor_observability.spans.record import FinishedSpan

ORIGINAL_NAME = "agent.hypervisor.span_name"
"""The tag that keeps the name of a span whose operation is another."""

# Jaeger keeps a list of all operations of a service and offers it for searching; names with
# ids in them make it endless. These are what ids look like: a UUID (RFC 9562, section 4), a
# run of eight or more hexadecimal digits with a decimal one among them, four decimals.
_HEX = "[0-9a-fA-F]"
_ID = re.compile(
    rf"(?<![0-9A-Za-z])(?:{_HEX}{{8}}-{_HEX}{{4}}-{_HEX}{{4}}-{_HEX}{{4}}-{_HEX}{{12}}"
    rf"|(?=[a-fA-F]*[0-9]){_HEX}{{8,}}|[0-9]{{4,}})(?![0-9A-Za-z])"
)


def operation_name(name: str) -> str:
    """Give *name* with ``{id}`` in place of whatever looks like one."""
    return _ID.sub("{id}", name)


def shape(span: FinishedSpan) -> FinishedSpan:
    """Give *span* under the name of its operation; its own becomes a tag if it is another."""
    operation = operation_name(span.name)
    if operation == span.name:
        return span
    return attrs.evolve(
        span, name=operation, attributes={**span.attributes, ORIGINAL_NAME: span.name}
    )


def by_service(
    spans: Iterable[FinishedSpan], service: str, *, per_agent: bool
) -> dict[str, list[FinishedSpan]]:
    """Put *spans* under the services that they belong to.

    Args:
        spans: In any order, which is kept within a service.
        service: The service of all of them, or of those without an agent.
        per_agent: Whether an agent is a service, called by its DID.
    """
    services: dict[str, list[FinishedSpan]] = {}
    for span in spans:
        name = (span.agent_did if per_agent else None) or service
        services.setdefault(name, []).append(span)
    return services
