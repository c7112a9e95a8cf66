"""The table ``[plugins.prometheus]``."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar
from urllib.parse import urlsplit

import attrs
from attrs import field, frozen
from attrs.validators import and_, gt, le, matches_re, min_len, optional

from hypervisor_observability.config import Secret, optional_absolute_path
from hypervisor_observability.serving.credentials import Credentials
from hypervisor_observability.serving.settings import ServerSettings, port_field

DEFAULT_PORT = 9464
"""The port of OpenTelemetry's Prometheus exporters (SDK environment variables)."""

DEFAULT_USERNAME = "prometheus"

_NO_TEXT: str | None = None  # annotated, like the next ones, for the validator's type
_NO_SECRET: Secret | None = None
_NO_FILE: Path | None = None
_LABEL_NAME = re.compile(r"(?!__)[a-zA-Z_][a-zA-Z0-9_]*")


def _check_secret(
    _: object, attribute: "attrs.Attribute[Secret | None]", it: Secret | None
) -> None:
    if it is not None and not it:
        raise ValueError(f"expected a {attribute.name}, got an empty one")


@frozen(kw_only=True)
class PrometheusConfig(ServerSettings):
    """Where the metrics are served, and to whom.

    Attributes:
        serve: Whether to run a server; False for jobs that only leave their metrics behind.
        username: Who may read them, where *password* is set.
        password: Of that user; without it everybody may read, if there is no *bearer_token*.
        bearer_token: Lets whoever shows it read them.
        textfile: Where the metrics are written at the end, for a node exporter to find.
        pushgateway: URL of a Pushgateway to which they are pushed at the end.
        push_job: Their label ``job`` there; the service's name by default.
        push_grouping: Further labels that name their group there.
        push_timeout_seconds: Longest time for that.
    """

    others: ClassVar[str] = "read the metrics"

    port: int = port_field(DEFAULT_PORT)
    serve: bool = True
    username: str = field(default=DEFAULT_USERNAME, validator=matches_re(r"[^:]+"))
    password: Secret | None = field(default=_NO_SECRET, validator=_check_secret)
    bearer_token: Secret | None = field(default=_NO_SECRET, validator=_check_secret)
    textfile: Path | None = field(default=_NO_FILE, converter=optional_absolute_path)
    pushgateway: str | None = field(default=_NO_TEXT)
    push_job: str | None = field(default=_NO_TEXT, validator=optional(min_len(1)))
    push_grouping: Mapping[str, str] = field(factory=dict)
    push_timeout_seconds: float = field(default=1.5, validator=and_(gt(0), le(60)))

    @username.validator
    def _check_username(self, _: "attrs.Attribute[str]", username: str) -> None:
        if username != DEFAULT_USERNAME and self.password is None:
            raise ValueError("a username alone keeps nobody out: set password too")

    @textfile.validator
    def _check_textfile(self, _: "attrs.Attribute[Path | None]", file: Path | None) -> None:
        if file is not None and file.suffix != ".prom":
            raise ValueError(f"a node exporter reads files named *.prom, got {file.name!r}")

    @pushgateway.validator
    def _check_gateway(self, _: "attrs.Attribute[str | None]", url: str | None) -> None:
        if url is None:
            return
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query:
            raise ValueError("expected a URL such as 'http://127.0.0.1:9091'")
        if parts.username is not None or parts.password is not None:
            raise ValueError("a URL here holds no user and password")

    @push_grouping.validator
    def _check_grouping(
        self, _: "attrs.Attribute[Mapping[str, str]]", grouping: Mapping[str, str]
    ) -> None:
        for name in grouping:
            if name == "job":
                raise ValueError("the label job is set by push_job")
            if not _LABEL_NAME.fullmatch(name):
                raise ValueError(f"{name!r} is no name of a label")

    @property
    def credentials(self) -> Credentials:
        """What a client has to show."""
        return Credentials(self.username, self.password, self.bearer_token)
