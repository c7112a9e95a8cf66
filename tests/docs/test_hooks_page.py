"""The page of the hooks is what ``hookspecs.py`` says, and its table names each of them."""

import re

from hypervisor_observability.host.plugin_checks import HOOKS
from scripts.hook_reference import PAGE, hooks, with_reference

TEXT = PAGE.read_text("utf-8")
ROW = re.compile(r"^\| \[`(\w+)\((.*)\)`\]\(#(\w+)\) \|", re.MULTILINE)


def test_page_is_what_the_hooks_say() -> None:
    told = "run .venv/bin/python -m scripts.hook_reference"

    assert with_reference(TEXT) == TEXT, told


def test_every_hook_has_its_section_and_every_argument_its_meaning() -> None:
    assert {hook.name for hook in hooks()} == HOOKS
    for hook in hooks():
        section = TEXT.partition(f"\n## {hook.name}\n")[2].partition("\n## ")[0]
        for argument in hook.args.args:
            assert f"- `{argument.arg}`: " in section, f"{hook.name}: {argument.arg}"


def test_table_has_every_hook_with_its_arguments() -> None:
    rows = [(name, arguments, link) for name, arguments, link in ROW.findall(TEXT)]

    assert rows == [
        (hook.name, ", ".join(one.arg for one in hook.args.args), hook.name) for hook in hooks()
    ]
