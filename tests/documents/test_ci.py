"""The workflow in docs/ci.md runs commands that there are."""

import re
import shlex

import pytest

from lettercast.commands.cli import build_parser


@pytest.mark.usefixtures("at_desk")
def test_the_workflow_runs_commands_that_there_are(root):
    text = (root / "docs" / "ci.md").read_text(encoding="utf-8")
    (workflow,) = re.findall(r"^```yaml\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    lines = re.findall(r"- run: lettercast (.*)", workflow)
    assert {line.split()[0] for line in lines} == {"export", "benchmark", "doctor"}
    for line in lines:
        build_parser().parse_args(shlex.split(line.partition(" > ")[0].replace("*", "letters-base-int8")))
