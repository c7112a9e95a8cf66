"""The report's page: one file that needs nothing else, and can do nothing but be read."""

import base64
import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from ..text.durations import duration_text
from . import drawing
from .activity_page import MOST_ROWS, activity_sections, more
from .breaches import Breach
from .findings import Findings
from .sagas import SagaStory
from .trees_page import Addresses, trees

_STYLE = """
body{font:15px/1.4 system-ui,sans-serif;color:#222;background:#fff;margin:0 auto;padding:1rem;
max-width:1100px}
h1{font-size:1.4rem;margin:0}h2{font-size:1rem;margin:0 0 .5rem}
h3{font-size:.95rem;margin:1rem 0 .2rem}
main{display:grid;gap:1rem;grid-template-columns:repeat(auto-fit,minmax(min(100%,320px),1fr))}
section{border:1px solid #ccc;border-radius:6px;padding:.8rem;overflow-wrap:anywhere;min-width:0;
break-inside:avoid}
.wide{grid-column:1/-1;break-inside:auto}.saga{break-inside:avoid;display:inline-block;
vertical-align:top;width:min(100%,330px);margin-right:1rem}
.picture{width:100%;max-width:520px;height:auto;font-size:14px}.picture text{fill:#222}
.big{font-size:2rem;margin:0}.key{width:.8em;height:.8em;margin-right:.3em}
.legend{list-style:none;display:flex;flex-wrap:wrap;gap:.2rem 1rem;padding:0;margin:.3rem 0 0}
p{margin:.3rem 0}.note{color:#555;font-size:.9em}
.tree{overflow-wrap:anywhere}.tree ul{list-style:none;margin:0;padding:0}
.tree ul ul{padding-left:.8rem;border-left:1px solid #ccc}.tree li{margin:.15rem 0}
b.failed,b.refused{color:#a02c2c}b.undone,b.cancelled{color:#8a5a00}b.running{color:#1f5f8b}
@media print{body{padding:0;max-width:none}main{display:block}section{margin-bottom:.6rem}}
"""
_UP_TO = ("1 second", "10 seconds", "1 minute", "5 minutes", "15 minutes", "1 hour", "longer")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def report_page(findings: Findings, title: str) -> str:
    """Write the page about *findings*.

    Its policy allows no script, no request and no style but its own, whatever a name holds.

    Args:
        findings: What it tells.
        title: What it is about, such as the journal's directory.
    """
    digest = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    name = drawing.text_of(title, 200)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Agents: {name}</title><style>{_STYLE}</style></head><body>"
        f"<h1>What agents did</h1><p>{name}</p>{_span(findings)}"
        f"<main>{''.join(_sections(findings))}</main></body></html>\n"
    )


def _span(findings: Findings) -> str:
    if findings.first_ns is None or findings.last_ns is None:
        return "<p>There are no events.</p>"
    first, last = _moment(findings.first_ns), _moment(findings.last_ns)
    return f"<p>{findings.events} events from {first} to {last} UTC</p>"


def _moment(nanoseconds: int) -> str:
    # The sum does not depend on the platform's range of timestamps.
    return f"{_EPOCH + timedelta(microseconds=nanoseconds // 1_000):%Y-%m-%d %H:%M:%S}"


def _sections(findings: Findings) -> Iterator[str]:
    """Write those sections that have anything to show, and name the others."""
    empty = []
    for title, body, kind in _bodies(findings):
        if body:
            yield f'<section class="{kind}"><h2>{title}</h2>{body}</section>'
        else:
            empty.append(title.lower())
    if findings.events and empty:
        yield f'<p class="note wide">Nothing was recorded of: {", ".join(empty)}.</p>'


def _bodies(findings: Findings) -> Iterator[tuple[str, str, str]]:
    """Give title, body and class of each section; an empty body has nothing to show."""
    first, last = findings.first_ns or 0, findings.last_ns or 0
    activity = findings.activity
    worst, newest = findings.traces.worst(), findings.traces.newest()
    addresses = Addresses.of([*worst, *newest])
    yield "Traces in which most went wrong", trees(worst, addresses, activity.prices), "wide"
    title = "Other newest traces" if worst else "Newest traces"
    yield title, trees(newest, addresses, activity.prices), "wide"
    for title, body in activity_sections(activity, addresses):
        yield title, body, "wide"
    yield "Saga timeline", _sagas(findings, addresses), "wide"
    yield "Breach rate", _breaches(findings, first, last), ""
    yield "Newest breaches", _newest_breaches(findings, addresses), ""
    transitions = findings.transitions
    yield (
        "Ring transitions",
        drawing.over_time(transitions, first, last) if transitions else "",
        "",
    )
    yield "Current ring levels", _rings(findings), ""
    yield "Elevation duration", _elevations(findings), ""
    yield "Policy decisions", _decisions(findings), ""
    yield "Trust scores", _trust_scores(findings), ""
    yield "Share of decisions that were allowed", _shares(findings), ""


def _breaches(findings: Findings, first: int, last: int) -> str:
    if not findings.breaches:
        return ""
    minutes = max(1.0, (last - first) / 60e9)
    rate = len(findings.breaches) / minutes
    worst = findings.breaches_by_agent.most_common(MOST_ROWS)
    rows = [(agent, count, str(count), drawing.colour_of("high")) for agent, count in worst]
    return (
        f'<p class="big">{rate:.3g} a minute</p>'
        + drawing.over_time(findings.breaches, first, last)
        + drawing.by_name(rows)
        + more(len(findings.breaches_by_agent))
    )


def _newest_breaches(findings: Findings, addresses: Addresses) -> str:
    found = findings.newest_breaches.found
    return "".join(_breach(one, addresses.link(one.trace)) for one in reversed(found))


def _breach(breach: Breach, link: str) -> str:
    tool = f" {drawing.text_of(breach.tool)}" if breach.tool else ""
    what = f"<bdi>{drawing.text_of(breach.agent)}</bdi>:<bdi>{tool}</bdi> ({breach.severity})"
    return f"<p>{what}</p><p>{link}</p>" if link else f"<p>{what}</p>"


def _rings(findings: Findings) -> str:
    agents = sorted(findings.rings.items(), key=lambda one: one[1])
    # The more a ring allows, the longer its bar.
    rows = [
        (agent, 4 - min(max(ring, 0), 3), f"ring {ring}", "#4878a8")
        for agent, ring in agents[:MOST_ROWS]
    ]
    return drawing.by_name(rows) + more(len(agents)) if rows else ""


def _elevations(findings: Findings) -> str:
    if not any(findings.elevations):
        return ""
    names = [f"up to {bound}" for bound in _UP_TO[:-1]] + [_UP_TO[-1]]
    return drawing.by_name(
        [
            (name, count, str(count), drawing.colour_of("elevated"))
            for name, count in zip(names, findings.elevations, strict=True)
        ]
    )


def _decisions(findings: Findings) -> str:
    rows = [
        (kind, count, str(count), drawing.colour_of(kind))
        for kind, count in sorted(findings.decisions.items())
    ]
    return drawing.by_name(rows) if rows else ""


def _trust_scores(findings: Findings) -> str:
    scores = sorted((score, agent) for agent, score in findings.trust_by_agent.items())
    rows = [
        (agent, score, f"{score:g}", drawing.colour_of("assigned"))
        for score, agent in scores[:MOST_ROWS]
    ]
    note = (
        '<p class="note">When identities were last verified, 0 to 10; the least trusted first. '
        "Scores of gauges that a process registers are in its metrics alone.</p>"
    )
    return drawing.by_name(rows) + more(len(scores)) + note if rows else ""


def _shares(findings: Findings) -> str:
    shares = sorted(
        (allowed / (allowed + denied), agent)
        for agent, (denied, allowed) in findings.allowed_by_agent.items()
    )
    if not shares:
        return ""
    rows = [
        (agent, share, f"{share:.0%}", drawing.colour_of("allowed"))
        for share, agent in shares[:MOST_ROWS]
    ]
    return drawing.by_name(rows) + more(len(shares))


def _sagas(findings: Findings, addresses: Addresses) -> str:
    if not findings.sagas:
        return ""
    left_out = findings.sagas_seen - len(findings.sagas)
    count = f"{left_out}" if findings.census.is_complete else f"{left_out} or more"
    note = f'<p class="note">The newest; {count} older ones are not drawn.</p>'
    return (
        drawing.legend(findings.outcomes)
        + "".join(
            _saga(one, addresses.link(one.trace)) for one in reversed(findings.sagas.values())
        )
        + (note if left_out else "")
    )


def _saga(saga: SagaStory, link: str) -> str:
    took = duration_text((saga.ended_ns - saga.begun_ns) / 1e9)
    name, outcome = drawing.text_of(saga.name), drawing.text_of(saga.outcome, 30)
    more = f'<p class="note">and {saga.left_out} more</p>' if saga.left_out else ""
    return (
        f'<div class="saga"><h3><bdi>{name}</bdi>: {outcome}, {took}</h3>'
        f"{drawing.waterfall(saga)}{more}{f'<p>{link}</p>' if link else ''}</div>"
    )
