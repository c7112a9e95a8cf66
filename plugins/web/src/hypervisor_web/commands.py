"""``hvobs serve``: the page over what was recorded, and is."""

import gc
import logging
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path

import click
from attrs import evolve

from hypervisor_observability import output
from hypervisor_observability.facts.prices import Prices
from hypervisor_observability.hookspecs import CommandContext
from hypervisor_observability.release import RELEASE
from hypervisor_observability.serving.binding import bind, warn_of_others
from hypervisor_observability.stores import History
from hypervisor_observability.threads.stop_signals import StopSignals
from hypervisor_web.addresses import address, spare_ports
from hypervisor_web.boards.health import Health, health_of_processes, history_told
from hypervisor_web.boards.kept import KeptValue
from hypervisor_web.config import DEFAULT_PORT, WebConfig
from hypervisor_web.everything import Model, whole_site
from hypervisor_web.feed.endpoints import Surroundings
from hypervisor_web.feed.following import Following
from hypervisor_web.history_options import history_options

_LOOK_SECONDS = 0.5
_DESCRIBED_SECONDS = 2.0

Open = Callable[[Callable[[str], object]], AbstractContextManager[History]]


@click.command(
    name="serve",
    short_help="Show a live page of what is recorded.",
    epilog=output.examples("hvobs serve", "hvobs serve --journal journal --port 8080"),
)
@history_options
@click.option("--host", metavar="HOST", help="Interface; else host of [plugins.web], or 127.0.0.1.")
@click.option(
    "--port",
    type=click.IntRange(0, 65_535),
    help=f"TCP port; 0: any free one.  [default: port of [plugins.web], or {DEFAULT_PORT}]",
)
@click.option(
    "--estimate-cost",
    "estimates",
    is_flag=True,
    help="Estimate the cost of tokens where none was recorded; else the configuration decides.",
)
@click.pass_obj
def serve(
    context: CommandContext,
    directory: Path | None,
    store: str | None,
    config_file: Path | None,
    host: str | None,
    port: int | None,
    estimates: bool,  # noqa: FBT001 - click's flag
) -> None:
    """Show what agents do on a page in the browser: what a store such as a journal holds, and what
    any process records into it while you look.

    The first line of stdout is the page's address. It holds a token, so share it only with people
    who may see everything. The store is only read. Ctrl-C and SIGTERM end it.
    """
    config = context.settings(config_file) or WebConfig()
    changes = {"host": host, "port": port}
    try:
        config = evolve(config, **{key: one for key, one in changes.items() if one is not None})
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    opened: Open = partial(
        context.history, journal=directory, store=store, file=config_file, may_be_empty=True
    )
    with opened(output.note) as history:  # what cannot be opened is told before anything is served
        described = KeptValue(partial(history_told, history), _DESCRIBED_SECONDS)
        served = _served(
            config,
            opened,
            history.place,
            context.service(config_file),
            lambda: health_of_processes(context.statuses(config_file), described.get()),
            context.prices(config_file, estimate=estimates),
            only_this_port=port is not None,
        )
        with StopSignals() as signals, _collecting_less_often(), served as url:
            signals.running = True
            output.tell(url)
            output.note(f"showing {history.place}; Ctrl-C ends it")
            while not signals.stopping.wait(_LOOK_SECONDS):
                pass


@contextmanager
def _collecting_less_often() -> Iterator[None]:
    """Look for cycles less often: of the hundred thousands of events that this process holds, and
    the trees that it makes of them, none is in a cycle, and looking takes a third of its time.
    """
    before = gc.get_threshold()
    gc.set_threshold(20_000, 20, 20)  # of objects; the default is 700, 10, 10
    try:
        yield
    finally:
        gc.set_threshold(*before)


@contextmanager
def _served(
    config: WebConfig,
    opened: Open,
    place: str,
    service: str,
    health: Callable[[], Health],
    prices: Prices | None,
    *,
    only_this_port: bool,
) -> Iterator[str]:
    """Serve the page; give its address.

    Raises:
        ClickException: The port cannot be had.
    """
    logger = logging.getLogger(__name__)
    model = Model(config, prices)
    following = Following(opened, model.observers)
    surroundings = Surroundings(
        title=service,
        place=place,
        service=service,
        version=RELEASE,
        history=partial(opened, model.observers.notice),
        is_reading=lambda: following.is_reading_past,
    )
    site = whole_site(model, surroundings, logger, health)
    try:
        server = bind(config, site, "--", () if only_this_port else spare_ports(config))
    except OSError as error:
        raise click.ClickException(str(error)) from error
    if config.port not in {0, server.server_port}:
        output.note(f"port {config.port} is in use: this is port {server.server_port}")
    server.start()
    warn_of_others(config, server)
    following.start()
    try:
        yield address(config, server.server_port, model.token)
    finally:
        model.observers.close()
        server.stop()
        following.stop()
