"""The version of the hooks that a plugin was written for, and whether this core has it."""

from ..hookspecs import API_VERSION, OLDEST_API_VERSION

ATTRIBUTE = "api_version"


def refuse_other_api(plugin: object, upgrade: str = "the plugin") -> None:
    """Refuse a plugin, or its class, that was written for hooks which this core does not have.

    Args:
        plugin: One without the attribute was written for version 1.
        upgrade: What has a newer version, if its own is too old.

    Raises:
        ValueError: The text says what to upgrade.
    """
    wanted = getattr(plugin, ATTRIBUTE, 1)
    if not isinstance(wanted, int) or isinstance(wanted, bool) or wanted < 1:
        raise ValueError(f"{ATTRIBUTE}: expected a whole number from 1, got {wanted!r:.80}")
    if OLDEST_API_VERSION <= wanted <= API_VERSION:
        return
    too_new = wanted > API_VERSION
    has = f"version {API_VERSION}"
    if OLDEST_API_VERSION < API_VERSION:
        has = f"versions {OLDEST_API_VERSION} to {API_VERSION}"
    raise ValueError(
        f"written for version {wanted} of the plugin API, and this hypervisor-observability has"
        f" {has}: upgrade {'hypervisor-observability' if too_new else upgrade}"
    )
