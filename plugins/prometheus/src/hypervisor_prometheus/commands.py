"""What stands under ``hvobs prometheus``."""

import click


def commands() -> list[click.Command]:
    """Give the plugin's own commands."""
    return []
