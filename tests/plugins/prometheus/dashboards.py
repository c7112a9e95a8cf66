"""What dashboards ask Prometheus."""

from typing import Any


def questions(board: dict[str, Any]) -> list[str]:
    """Give the PromQL of a dashboard."""
    return [
        target["expr"]
        for panel in board["panels"]
        for target in panel.get("targets", ())
        if "expr" in target
    ]
