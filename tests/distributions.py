"""Distributions that are installed as far as their metadata say."""

import re
from pathlib import Path


def plugins_of(**values: str) -> str:
    """Give an ``entry_points.txt`` with these plugins: ``plugins_of(acme="acme:Plugin")``."""
    lines = (f"{name} = {value}\n" for name, value in values.items())
    return f"[hypervisor.observability]\n{''.join(lines)}"


def write_distribution(
    site: Path, name: str, plugins: str = "", *, version: str = "1.2", more: str = ""
) -> Path:
    """Write the metadata of a distribution below *site*, and give their folder.

    :param plugins: Its ``entry_points.txt``, as ``plugins_of`` gives it.
    :param more: Further lines of ``METADATA``.
    """
    folder = site / f"{re.sub('[-_.]+', '_', name).lower()}-{version}.dist-info"
    folder.mkdir(parents=True)
    (folder / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{more}"
    )
    if plugins:
        (folder / "entry_points.txt").write_text(plugins)
    return folder
