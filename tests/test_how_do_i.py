"""The questions people ask: each has one command, which exists with its options, and one page, which exists."""

import re
import shlex
from pathlib import Path

import click

from freehold.cli.main import cli

DOCS = Path(__file__).parents[1] / "docs"
PAGE = (DOCS / "how-do-i.md").read_text()
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in PAGE.splitlines()
    if line.startswith("| ") and not line.startswith("| How do I")
]


def test_none_is_asked_twice():
    assert len({question for question, *_ in ROWS}) == len(ROWS) > 1


def test_each_answer_is_one_command_and_one_page():
    for question, command, more in ROWS:
        assert question.endswith("?"), question
        (line,) = re.findall(r"`([^`]+)`", command)
        ((_, target),) = re.findall(r"\[([^]]+)\]\(([^)]+)\)", more)
        assert (DOCS / target.partition("#")[0]).exists(), question
        words = shlex.split(line)
        if words[0] == "python":
            continue
        assert words.pop(0) == "freehold", question
        context, found = click.Context(cli), cli
        while isinstance(found, click.Group):
            name = words.pop(0)
            found = found.get_command(context, name)
            assert found is not None, line
        # Options that the command does not have are errors here; what it cannot do without is there.
        given, _, _ = found.make_parser(click.Context(found)).parse_args(words)
        assert [one.name for one in found.params if one.required and given.get(one.name) is None] == [], line
