"""What docs/reference/history.md shows of the commands over a journal is what they write."""

import re
import shlex
from pathlib import Path

import pytest

from tests import programs
from tests.commands import HVOBS

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "history.md"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
OF_THIS_RUN = re.compile(r"\d{8}T\d{6}\.\d{6}Z-[0-9a-f]{32}|(?<=\"event_id\": \")[0-9a-f]{16}")


def run(command: str, last_code: int) -> tuple[str, int]:
    """Run a line of the page; give what it writes, and its exit code."""
    if command == "echo $?":
        return f"{last_code}\n", 0
    name, *arguments = shlex.split(command)
    assert name == "hvobs"
    done = programs.run([*HVOBS, *arguments], timeout=120)
    assert done.stderr == ""
    return done.stdout, done.returncode


@pytest.mark.slow
def test_page_shows_what_the_commands_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shown = written = ""
    code = 0
    for language, text in BLOCK.findall(PAGE.read_text(encoding="utf-8")):
        if language == "python":
            exec(compile(text, "docs/reference/history.md", "exec"), {"__name__": "page"})  # noqa: S102 - our own page
        elif language == "toml":
            Path("hypervisor.toml").write_text(text)
        elif language == "console":
            shown += text
            for line in text.splitlines():
                if line.startswith("$ "):
                    output, code = run(line[2:], code)
                    written += f"{line}\n{output}"
    assert shown.count("$ hvobs") == 8
    assert OF_THIS_RUN.sub("…", written) == OF_THIS_RUN.sub("…", shown)
