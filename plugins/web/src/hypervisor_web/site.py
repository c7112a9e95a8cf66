"""The page and its answers as one site: who gets them, and with which headers."""

import logging
import secrets
from collections.abc import Mapping

from hypervisor_observability.config import Secret
from hypervisor_observability.serving.credentials import Credentials
from hypervisor_observability.serving.pages import text_page
from hypervisor_observability.serving.site import SAFE_HEADERS, MakePage, MakeStream, Site
from hypervisor_web.answers import error_page
from hypervisor_web.assets import pages
from hypervisor_web.config import WebConfig

API = "/api/"
"""How the paths begin that need the token; all others are files of the page."""

_TOKEN_BYTES = 16
_MAX_REQUESTS = 64  # a browser asks for six things at once, and there may be many viewers
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self';"
    " img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none';"
    " require-trusted-types-for 'script'; trusted-types 'none'"
)
_HEADERS = {
    **SAFE_HEADERS,
    "Content-Security-Policy": _POLICY,
    "Permissions-Policy": "camera=(), display-capture=(), geolocation=(), hid=(), microphone=(),"
    " payment=(), serial=(), usb=()",
}


def token_for(config: WebConfig) -> Secret:
    """Give the token of the configuration, or draw one of 128 bits."""
    return config.token or Secret(secrets.token_urlsafe(_TOKEN_BYTES))


def make_site(
    config: WebConfig,
    token: Secret,
    logger: logging.Logger,
    endpoints: Mapping[str, MakePage],
    streams: Mapping[str, MakeStream],
) -> Site:
    """Put the files of the page beside what it asks for.

    Args:
        config: Who may see the page.
        token: What a viewer has to show.
        logger: Told of answers that cannot be made.
        endpoints: Pages by paths that begin with ``/api/``.
        streams: Streams by such paths.
    """
    return Site(
        "web",
        {**pages(), "/-/healthy": lambda _: text_page("healthy\n"), **endpoints},
        logger,
        streams=streams,
        hosts=config.names,
        credentials=Credentials(bearer_token=token),
        guarded=API,
        own_pages_only=True,
        realm="page",
        headers=_HEADERS,
        error_page=error_page,
        # On one machine it costs more time than it saves.
        compressed=config.allow_remote,
        max_connections=_MAX_REQUESTS,
    )
