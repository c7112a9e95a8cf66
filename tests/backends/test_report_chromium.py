"""A real browser shows the report, runs nothing that a name holds, and complains of nothing."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from hypervisor_observability import EventType, HypervisorEvent
from hypervisor_observability.report import Findings, report_page
from tests.programs import found_or_skip

pytestmark = [pytest.mark.backend, pytest.mark.slow]

BROWSER_SECONDS = 120
HOSTILE = (
    "<script>document.title='owned'</script>",
    "</svg></style></title><script>document.title='owned'</script>",
    '"><img src=x onerror="document.title=\'owned\'">',
    "x" * 300,
    "وكيل التحليل",
)
SCRIPT = "<script>document.title='owned'</script>"


@pytest.fixture
def chromium(tmp_path: Path) -> Callable[..., "subprocess.CompletedProcess[str]"]:
    """Open a page in a headless Chromium: ``chromium(page, option, ...)``."""
    program = found_or_skip(
        "Chromium",
        lambda: shutil.which("chromium"),
        "Install it (Debian: apt-get install --no-install-recommends chromium).",
    )

    def run(page: str, *options: str) -> "subprocess.CompletedProcess[str]":
        file = tmp_path / "report.html"
        file.write_text(page, encoding="utf-8")
        done = subprocess.run(
            [
                *(program, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run"),
                *("--disable-background-networking", "--disable-component-update"),
                *("--disable-sync", "--enable-logging=stderr"),
                *(f"--user-data-dir={tmp_path / 'profile'}", *options, file.as_uri()),
            ],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=BROWSER_SECONDS,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done

    return run


def page() -> str:
    findings = Findings()
    for name in HOSTILE:
        payloads: dict[EventType, dict[str, object]] = {
            EventType.RING_ASSIGNED: {"to_ring": 1},
            EventType.RING_BREACH_DETECTED: {"severity": name},
            EventType.SAGA_CREATED: {"saga_id": name},
            EventType.SAGA_STEP_STARTED: {"saga_id": name, "action": name},
        }
        for place, (kind, payload) in enumerate(payloads.items()):
            findings.take(
                HypervisorEvent(
                    event_type=kind,
                    agent_did=name,
                    timestamp=1_800_000_000 + place,
                    payload=payload,
                )
            )
    return report_page(findings, HOSTILE[0])


def test_names_are_text_and_the_console_is_empty(
    chromium: Callable[..., "subprocess.CompletedProcess[str]"],
) -> None:
    done = chromium(page(), "--dump-dom")

    assert "<h2>Ring transitions</h2>" in done.stdout
    assert "<title>owned" not in done.stdout
    assert "<script" not in done.stdout
    assert "<img" not in done.stdout
    assert HOSTILE[-1] in done.stdout
    assert "CONSOLE" not in done.stderr


def test_policy_stops_a_script_that_is_in_the_page(
    chromium: Callable[..., "subprocess.CompletedProcess[str]"],
) -> None:
    """What escaping should have missed would still not run; and the test above would see it."""
    damaged = page().replace("</body>", f"{SCRIPT}</body>")
    refused = chromium(damaged, "--dump-dom")

    assert "<title>owned" not in refused.stdout
    assert "CONSOLE" in refused.stderr
    without_policy = damaged.replace("Content-Security-Policy", "X-None")
    assert "<title>owned" in chromium(without_policy, "--dump-dom").stdout


def test_it_fits_a_phone_and_can_be_printed(
    chromium: Callable[..., "subprocess.CompletedProcess[str]"], tmp_path: Path
) -> None:
    # The width that the content takes is told by a script of the test's own, without the policy.
    measured = (
        page()
        .replace("Content-Security-Policy", "X-None")
        .replace(
            "</body>",
            "<iframe id=f width=360 height=700></iframe><script>"
            "const f = document.getElementById('f');"
            "const all = document.documentElement.outerHTML;"
            "f.srcdoc = all.replace(/<iframe[^]*/, '</body></html>');"
            "f.onload = () => document.title ="
            " 'wide ' + f.contentDocument.documentElement.scrollWidth;"
            "</script></body>",
        )
    )
    shown = chromium(measured, "--virtual-time-budget=5000", "--dump-dom").stdout
    assert "<title>wide 3" in shown
    width = int(shown.split("<title>wide ")[1].split("<")[0])
    assert width <= 360

    pdf = tmp_path / "report.pdf"
    chromium(page(), f"--print-to-pdf={pdf}")
    assert pdf.read_bytes().startswith(b"%PDF-")
