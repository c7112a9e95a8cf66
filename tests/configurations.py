"""Configuration files."""

from pathlib import Path

NAME = Path("hypervisor.toml")


def write_config(text: str, path: Path = NAME) -> Path:
    """Write a configuration that nobody else can change, whatever the umask; give its path."""
    path.write_text(text)
    path.chmod(0o600)
    return path
