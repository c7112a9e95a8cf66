"""A page that shows what agents do, now and before."""

from hypervisor_web.config import WebConfig
from hypervisor_web.plugin import WebPlugin

__all__ = ["WebConfig", "WebPlugin"]
