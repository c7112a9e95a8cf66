"""A page of a source is run as it stands, and what does not hold is found."""

from pathlib import Path

import pytest

from tests.frameworks import install_acme
from tests.sources.pages import begins_with, matches, run_page

PAGE = """
# Acme

```console
$ pip install 'pytest>=8' hypervisor-observability[journal]
```

The program is `app.py`:

```python title="app.py"
from acme_agents import Agent

print(Agent("a", lambda **given: given["city"]).run(city="Oslo"))
```

The configuration is `hypervisor.toml`:

```toml title="hypervisor.toml"
[plugins.acme]

[plugins.journal]
directory = "journal"

[plugins.prometheus]
serve = false
textfile = "metrics.prom"
```

```console
$ hvobs run app.py
Oslo
hvobs run: 3 events of 1 agent seen; prometheus has 3; journal keeps them, 'hvobs tree' shows them
$ hvobs tree \\
    --width 60
trace 0123456789ab
...
$ grep acme.agent_used metrics.prom
agent_hypervisor_observability_events_emitted_total{event_type="acme.agent_used"} 1.0
```

```python notest
import acme_absent
```
"""


@pytest.fixture
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    install_acme(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    page = tmp_path / "acme.md"
    page.write_text(PAGE)
    (tmp_path / "work").mkdir()
    return page


def test_page_is_run_as_it_stands(page: Path) -> None:
    run_page(page, page.parent / "work")


@pytest.mark.parametrize(
    ("true", "false", "told"),
    [
        ("\nOslo\n", "\nBergen\n", "acme.md:30: hvobs run app.py"),
        ("'pytest>=8'", "'pytest>=800'", "pytest>=800"),
        ("The program is `app.py`:", "The program:", "does not name app.py"),
        ('```python title="app.py"', "```python", "shown, but not run"),
        ("$ hvobs run", "hvobs run", "output of no command"),
    ],
)
def test_what_does_not_hold_is_found(page: Path, true: str, false: str, told: str) -> None:
    assert true in PAGE
    page.write_text(PAGE.replace(true, false, 1))

    with pytest.raises(AssertionError, match=told):
        run_page(page, page.parent / "work")


def test_what_a_page_sends_is_received(page: Path) -> None:
    otel = '[plugins.otel]\nendpoint = "http://127.0.0.1:4318"\n'
    text = PAGE.replace("[plugins.journal]", f"{otel}\n[plugins.journal]")
    page.write_text(text.replace("prometheus has 3;", "otel has 3; prometheus has 3;"))
    (span,) = run_page(page, page.parent / "work")

    assert span.name == "invoke_agent a"


@pytest.mark.parametrize(
    ("printed", "shown", "same"),
    [
        ("a 12 ms ok", "a    3.5 s ok", True),
        ("trace 0123456789ab", "trace ba9876543210", True),
        ("at 10:11:12.5", "at 23:59:59", True),
        ("3 events", "4 events", False),
        ("a\nb\nc", "a\n...\nc", True),
        ("a\nc", "a\n...\nc", True),
        ("a\nb", "a\n...\nc", False),
        ("decade", "facade", False),
        ("a.b", "a+b", False),
        ("", "", True),
    ],
)
def test_only_what_differs_from_run_to_run_is_left_out(
    printed: str, shown: str, same: bool
) -> None:
    assert matches(printed, shown) is same


SERVER = """
The server is `serve.py`:

```python title="serve.py"
import sys
import time
from pathlib import Path

try:
    print("ready on http://127.0.0.1:8000 in", Path.cwd(), flush=True)
    while True:
        time.sleep(0.05)  # a signal that comes just before a pause without end would be lost
except KeyboardInterrupt:
    print("served")
```

```console title="server"
$ python serve.py
ready on http://127.0.0.1:8000 in /srv/app
```

```console
$ grep -c 127.0.0.1:8000 serve.py
1
```

```console title="server"
^C
served
```

```console title="server"
$ python serve.py
...
```
"""


def test_command_in_a_terminal_of_its_own_runs_until_ctrl_c(tmp_path: Path) -> None:
    page = tmp_path / "server.md"
    page.write_text(SERVER)
    (tmp_path / "work").mkdir()

    run_page(page, tmp_path / "work")

    assert "127.0.0.1:8000" not in (tmp_path / "work" / "serve.py").read_text()


@pytest.mark.parametrize(
    ("true", "false", "told"),
    [
        (
            '    print("ready',
            '    sys.exit("no port")\n    print("ready',
            "--- has ended, and has printed:\nno port",
        ),
        ("\n1\n", "\n2\n", "python serve.py\n--- goes on, and has printed:\nready on"),
        ("^C\nserved", "^C\nin peace", "server.md:28: Ctrl-C"),
        ("^C\nserved", "$ python serve.py", "the terminal server is busy"),
    ],
)
def test_what_does_not_hold_of_a_terminal_is_found(
    tmp_path: Path, true: str, false: str, told: str
) -> None:
    assert true in SERVER
    page = tmp_path / "server.md"
    page.write_text(SERVER.replace(true, false, 1))
    (tmp_path / "work").mkdir()

    with pytest.raises(AssertionError, match=told):
        run_page(page, tmp_path / "work")


def test_output_may_go_on_after_what_is_shown() -> None:
    assert begins_with("a\nb\nc", "a\nb")
    assert not begins_with("a\nc", "a\nb")
