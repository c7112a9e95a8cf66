"""A report of what agents did: one HTML file, with pictures, for those without a dashboard."""

from .findings import Findings
from .page import report_page

__all__ = ["Findings", "report_page"]
