"""Traces of governed multi-agent systems for Jaeger.

``[plugins.jaeger]`` in the configuration turns :class:`JaegerPlugin` on.
"""

from hypervisor_jaeger.config import JaegerConfig
from hypervisor_jaeger.links import trace_url
from hypervisor_jaeger.plugin import JaegerPlugin
from hypervisor_jaeger.trace_document import trace_document

__all__ = ["JaegerConfig", "JaegerPlugin", "trace_document", "trace_url"]
