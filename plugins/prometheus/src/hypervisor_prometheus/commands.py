"""What stands under ``hvobs prometheus``: files for Prometheus and Grafana."""

import json
from ipaddress import ip_address

import click

from hypervisor_observability import output
from hypervisor_prometheus.alerts import MAX_INTERVAL_SECONDS, check_interval, rules_text
from hypervisor_prometheus.config import PrometheusConfig
from hypervisor_prometheus.dashboards import agents_dashboard, pipeline_dashboard
from hypervisor_prometheus.dashboards.timelines import TraceBackend
from hypervisor_prometheus.scraping import DOTNET_TARGET, Scraped, scrape_config_text


def commands(config: PrometheusConfig) -> list[click.Command]:
    """Give the plugin's own commands.

    Args:
        config: The plugin's table, which says where the metrics are served.
    """
    return [_dashboard, _rules, _scrape_config(config)]


@click.command(
    "dashboard",
    short_help="Write a dashboard for Grafana.",
    epilog=output.examples("hvobs prometheus dashboard agents > agents.json"),
)
@click.argument(
    "which", type=click.Choice(["agents", "pipeline"]), default="agents", required=False
)
@click.option(
    "--traces",
    type=click.Choice([backend.value for backend in TraceBackend]),
    default=TraceBackend.JAEGER.value,
    show_default=True,
    help="Who keeps the spans of the saga timeline.",
)
@click.option(
    "--service", default="agents", show_default=True, help="The name that the spans are kept under."
)
def _dashboard(which: str, traces: str, service: str) -> None:
    """Write a dashboard as JSON, for Grafana's import or provisioning.

    The one of the AGENTS shows rings, decisions, trust, sagas and usage; the one of the
    PIPELINE what becomes of the events: delivery, loss, journal.
    """
    shown = (
        agents_dashboard(traces=TraceBackend(traces), service=service)
        if which == "agents"
        else pipeline_dashboard()
    )
    click.echo(json.dumps(shown, indent=2))


@click.command(
    "rules",
    short_help="Write the alerts, as a rule file.",
    epilog=output.examples("hvobs prometheus rules > rules.yml"),
)
def _rules() -> None:
    """Write the alerts as a file for Prometheus' rule_files."""
    click.echo(rules_text(), nl=False)


def _checked_interval(_context: click.Context, _parameter: click.Parameter, seconds: int) -> int:
    try:
        check_interval(seconds)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None
    return seconds


def _scrape_config(config: PrometheusConfig) -> click.Command:
    @click.command(
        "config",
        short_help="Write a configuration for Prometheus.",
        epilog=output.examples("hvobs prometheus config > prometheus.yml"),
    )
    @click.option(
        "--python",
        multiple=True,
        metavar="HOST:PORT",
        help="A process with this plugin; else the address in the plugin's table.",
    )
    @click.option(
        "--dotnet",
        multiple=True,
        metavar="HOST:PORT",
        default=[DOTNET_TARGET],
        show_default=True,
        help="A .NET application with governance metrics.",
    )
    @click.option("--rules", multiple=True, metavar="FILE", help="A file of rules.")
    @click.option("--alertmanager", multiple=True, metavar="HOST:PORT", help="Where alerts go.")
    @click.option(
        "--interval",
        type=int,
        callback=_checked_interval,
        default=15,
        show_default=True,
        help=f"Seconds between two scrapes, 1 to {MAX_INTERVAL_SECONDS}.",
    )
    def scrape_config(
        python: tuple[str, ...],
        dotnet: tuple[str, ...],
        rules: tuple[str, ...],
        alertmanager: tuple[str, ...],
        interval: int,
    ) -> None:
        """Write a prometheus.yml that scrapes Python and .NET side by side.

        It renames what .NET calls differently, and gives all metrics of an agent the label
        agent_did, so that they can be joined. Files with secrets are named, not written.
        """
        scraped = Scraped(
            python=python or [_target(config)],
            dotnet=dotnet,
            rules=rules,
            alertmanagers=alertmanager,
            interval_seconds=interval,
        )
        click.echo(scrape_config_text(scraped, config), nl=False)

    return scrape_config


def _target(config: PrometheusConfig) -> str:
    host = "localhost" if _is_wildcard(config.host) else config.host
    return f"[{host}]:{config.port}" if ":" in host else f"{host}:{config.port}"


def _is_wildcard(host: str) -> bool:
    """Whether *host* stands for all interfaces: no address to scrape."""
    try:
        return not host or ip_address(host).is_unspecified
    except ValueError:  # a name
        return False
