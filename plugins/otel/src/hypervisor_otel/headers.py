"""Headers that a user adds to requests: which names and values there can be.

Checked where the configuration is read, since a request that cannot be written never arrives.
"""

import base64
import binascii
import re
from collections import Counter
from collections.abc import Mapping

from attrs import Attribute

from hypervisor_observability.config.secret import Secret

# RFC 9110, section 5.6.2: what a header's name may consist of.
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
# RFC 9110, section 5.5, without its obsolete letters beyond ASCII.
_VALUE = re.compile(r"[\t -~]*")
# gRPC over HTTP/2, Requests: Header-Name and ASCII-Value.
_METADATA_NAME = re.compile(r"[0-9A-Za-z_.-]+")
_METADATA_VALUE = re.compile(r"[ -~]*")
# Those that describe the request itself, its connection, or what answer can be read.
_OWN = frozenset(
    {
        "accept-encoding",
        "connection",
        "content-encoding",
        "content-length",
        "content-type",
        "expect",
        "host",
        "keep-alive",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)


def valid_headers(
    _instance: object, _attribute: "Attribute[Mapping[str, Secret]]", headers: Mapping[str, Secret]
) -> None:
    """Check names and values of additional headers.

    Raises:
        ValueError: A name is malformed, stands there twice or is one that the sender sets
            itself, or a value holds what no header may hold. Values are never shown.
    """
    spellings = Counter(name.lower() for name in headers)
    for name, value in headers.items():
        if not _TOKEN.fullmatch(name):
            msg = f"{name!r} is no name of an HTTP header"
            raise ValueError(msg)
        if name.lower() in _OWN:
            msg = f"the header {name} is set by the sender itself; leave it out"
            raise ValueError(msg)
        if spellings[name.lower()] > 1:
            msg = f"the header {name} stands there twice: capitals make no difference"
            raise ValueError(msg)
        if not _VALUE.fullmatch(value.reveal()):
            msg = f"the value of the header {name} holds line breaks or letters beyond ASCII"
            raise ValueError(msg)


def check_metadata(headers: Mapping[str, Secret]) -> None:
    """Check that gRPC takes *headers*, which passed ``valid_headers``, as metadata.

    Raises:
        ValueError: It takes a name or a value not. Values are never shown.
    """
    for name, value in headers.items():
        if not _METADATA_NAME.fullmatch(name) or name.lower().startswith("grpc-"):
            msg = f"headers: {name} is no name that gRPC takes, or one of its own"
            raise ValueError(msg)
        if not _METADATA_VALUE.fullmatch(value.reveal()):
            msg = f"headers: the value of {name} holds a tab, which gRPC does not take"
            raise ValueError(msg)
        if name.lower().endswith("-bin"):
            try:
                binary_value(value.reveal())
            except binascii.Error:
                msg = f"headers: {name} is binary for gRPC: expected its value in Base64"
                raise ValueError(msg) from None


def binary_value(text: str) -> bytes:
    """Give the bytes that the value *text* of a header ``...-bin`` stands for.

    Raises:
        binascii.Error: It is no Base64, with or without the padding.
    """
    text = text.strip().rstrip("=")
    return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
