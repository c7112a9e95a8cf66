"""What stands under ``hvobs jaeger``."""

import json
import webbrowser
from pathlib import Path
from typing import Any

import click
from attrs import frozen

from hypervisor_jaeger.comparison import OperationDifference, compare, has_failed
from hypervisor_jaeger.config import JaegerConfig
from hypervisor_jaeger.links import compare_url, trace_url, wide_trace_id
from hypervisor_jaeger.query_api import QueryAPI, QueryError
from hypervisor_observability import output
from hypervisor_observability.files.atomic_file import write_where_told
from hypervisor_observability.text.terminal_text import escape

_ID = "Any causal id of the trace, or the 32 digits of its trace id."


class _TraceId(click.ParamType[str]):
    name = "id"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Give the 32 digits that Jaeger knows the trace by."""
        try:
            return wide_trace_id(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


@frozen
class _Jaeger:
    config: JaegerConfig

    @property
    def api(self) -> QueryAPI:
        config = self.config
        return QueryAPI(
            config.ui_url,
            headers=config.headers if config.send_headers_to_ui else {},
            timeout_seconds=config.timeout_seconds,
            ca_file=config.ca_file,
            cert_file=config.cert_file,
            key_file=config.key_file,
        )

    def trace(self, trace_id: str) -> dict[str, Any]:
        try:
            return self.api.trace(trace_id)
        except QueryError as error:
            raise click.ClickException(escape(str(error))) from error


def commands(config: JaegerConfig) -> list[click.Command]:
    """Give the plugin's own commands, for the Jaeger that *config* names."""
    jaeger = _Jaeger(config)
    return [_open(jaeger), _fetch(jaeger), _compare(jaeger), _export(jaeger)]


def _open(jaeger: _Jaeger) -> click.Command:
    @click.command(
        "open",
        help=f"Show a trace in Jaeger's user interface.\n\n{_ID}",
        epilog=output.examples("hvobs jaeger open da557855c5a8/0000000a"),
    )
    @click.argument("trace_id", type=_TraceId(), metavar="ID")
    @click.option("--print", "only_print", is_flag=True, help="Only write its address.")
    def command(trace_id: str, only_print: bool) -> None:  # noqa: FBT001 - click's flag
        url = trace_url(trace_id, ui_url=jaeger.config.ui_url)
        click.echo(url)
        if not only_print and not webbrowser.open(url):
            click.echo("no browser could be started here: open the address yourself", err=True)

    return command


def _fetch(jaeger: _Jaeger) -> click.Command:
    @click.command(
        "fetch",
        help=f"Read a trace back from Jaeger.\n\n{_ID}",
        epilog=output.examples("hvobs jaeger fetch da557855c5a8/0000000a"),
    )
    @click.argument("trace_id", type=_TraceId(), metavar="ID")
    @click.option("--json", "as_json", is_flag=True, help="Write Jaeger's own JSON.")
    def command(trace_id: str, as_json: bool) -> None:  # noqa: FBT001 - click's flag
        trace = jaeger.trace(trace_id)
        if as_json:
            click.echo(json.dumps({"data": [trace]}, ensure_ascii=True, indent=2))
            return
        spans = [span for span in trace["spans"] if isinstance(span, dict)]
        for span in sorted(spans, key=lambda span: str(span.get("startTime", ""))):
            mark = "failed" if has_failed(span) else "ok"
            milliseconds = float(span.get("duration") or 0) / 1_000
            name = escape(str(span.get("operationName", "")))
            click.echo(f"{milliseconds:12,.3f} ms  {mark:6}  {name}")

    return command


def _compare(jaeger: _Jaeger) -> click.Command:
    @click.command(
        "compare",
        help="Compare two traces by their operations. Exit code 1 if their spans or failures"
        f" differ.\n\n{_ID}",
        epilog=output.examples("hvobs jaeger compare da557855c5a8/0000000a 10dfedb08aed/0000000b"),
    )
    @click.argument("one", type=_TraceId(), metavar="ID")
    @click.argument("other", type=_TraceId(), metavar="ID")
    @click.option("--json", "as_json", is_flag=True, help="Write JSON.")
    @click.pass_context
    def command(
        context: click.Context,
        one: str,
        other: str,
        as_json: bool,  # noqa: FBT001 - click's flag
    ) -> None:
        rows = compare(jaeger.trace(one), jaeger.trace(other))
        url = compare_url(one, other, ui_url=jaeger.config.ui_url)
        if as_json:
            shown = {"url": url, "operations": [_row(row) for row in rows]}
            click.echo(json.dumps(shown, ensure_ascii=True, indent=2))
        else:
            for row in rows:
                click.echo(_line(row))
            click.echo(url)
        context.exit(1 if any(row.is_change for row in rows) else 0)

    return command


def _export(jaeger: _Jaeger) -> click.Command:
    @click.command(
        "export",
        help=f"Write a trace to a file for Jaeger's upload (JSON File).\n\n{_ID}",
        epilog=output.examples("hvobs jaeger export da557855c5a8/0000000a trace.json"),
    )
    @click.argument("trace_id", type=_TraceId(), metavar="ID")
    @click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
    def command(trace_id: str, file: Path) -> None:
        document = {"data": [jaeger.trace(trace_id)]}
        try:
            write_where_told(file, json.dumps(document, ensure_ascii=True).encode("ascii"))
        except OSError as error:
            msg = f"{file} cannot be written: {error.strerror or error}"
            raise click.ClickException(escape(msg)) from error
        count = len(document["data"][0]["spans"])
        click.echo(f"{count} spans written to {escape(str(file))}", err=True)

    return command


def _row(row: OperationDifference) -> dict[str, Any]:
    return {
        "service": row.service,
        "operation": row.operation,
        "spans": list(row.spans),
        "errors": list(row.errors),
        "duration_us": list(row.duration_us),
    }


def _line(row: OperationDifference) -> str:
    mark = "!" if row.is_change else " "
    before, after = (microseconds / 1_000 for microseconds in row.duration_us)
    return (
        f"{mark} {escape(row.service)}: {escape(row.operation)}: "
        f"spans {row.spans[0]} -> {row.spans[1]}, failed {row.errors[0]} -> {row.errors[1]}, "
        f"{before:,.3f} -> {after:,.3f} ms"
    )
