"""The options that all commands share: where the fleet is, and which credentials to use."""

from collections.abc import Callable
from functools import update_wrapper
from pathlib import Path
from typing import Any

import click
from attrs import evolve

from hypervisor_nats.config import NatsConfig
from hypervisor_observability.hookspecs import CommandContext

Command = Callable[..., Any]

_OPTION_OF = {"servers": "server", "stream": "stream", "credentials_file": "credentials"}
_OPTIONS = (
    click.option(
        "--server",
        "servers",
        multiple=True,
        metavar="URL",
        help="A server, such as nats://HOST:4222; else servers of [plugins.nats]. Repeatable.",
    ),
    click.option("--stream", metavar="NAME", help="The stream; else stream of [plugins.nats]."),
    click.option(
        "--credentials",
        type=click.Path(path_type=Path, dir_okay=False),
        metavar="FILE",
        help="A .creds file; else credentials_file of [plugins.nats].",
    ),
    click.option(
        "--config",
        "config_file",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="The configuration; else that of 'hvobs nats'.",
    ),
)


def config_options(command: Command) -> Command:
    """Give *command* the options, and the ``NatsConfig`` that they make as its first argument.

    It is that of the configuration, or the defaults if there is no ``[plugins.nats]``; options of
    the command line take precedence.

    Raises:
        ConfigError: The table is invalid.
        UsageError: An option is invalid.
    """

    def with_config(
        context: CommandContext,
        /,
        servers: tuple[str, ...],
        stream: str | None,
        credentials: Path | None,
        config_file: Path | None,
        **others: Any,
    ) -> Any:
        config: NatsConfig = context.settings(config_file) or NatsConfig()
        given = {"servers": servers, "stream": stream, "credentials_file": credentials}
        for key, value in given.items():
            config = _changed(config, key, value) if value else config
        return command(config, **others)

    update_wrapper(with_config, command)
    decorated: Command = click.pass_obj(with_config)
    for option in reversed(_OPTIONS):
        decorated = option(decorated)
    return decorated


def _changed(config: NatsConfig, key: str, value: Any) -> NatsConfig:
    changes = {key: value}
    if key == "credentials_file":  # in place of any other way to prove who asks
        changes |= dict.fromkeys(("user", "password", "token", "nkey_file"))
    try:
        return evolve(config, **changes)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint=f"--{_OPTION_OF[key]}") from error


def asked_service() -> str:
    """Return ``service`` of the configuration of the present command.

    Raises:
        ConfigError: The file cannot be read.
    """
    context = click.get_current_context()
    asked: CommandContext = context.obj
    return asked.service(context.params["config_file"])
