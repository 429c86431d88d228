import shlex

import click
import pytest
from click.testing import CliRunner

from freehold.cli.main import COMMANDS, cli


def commands():
    """Every command's words, those of groups too."""

    def within(words, command):
        yield words
        if isinstance(command, click.Group):
            for name, part in command.commands.items():
                yield from within((*words, name), part)

    context = click.Context(cli)
    yield ()
    for name in COMMANDS:
        yield from within((name,), cli.get_command(context, name))


@pytest.mark.parametrize("words", list(commands()), ids=" ".join)
def test_help_fits_a_terminal_of_80_columns(words):
    shown = CliRunner().invoke(cli, [*words, "--help"], terminal_width=80).output
    assert [line for line in shown.splitlines() if len(line) > 80] == []


def test_a_long_example_can_be_pasted():
    shown = CliRunner().invoke(cli, ["routes", "--help"], terminal_width=80).output
    example = shown[shown.index("freehold routes set support --model") :].split("--limit")[0]
    assert " \\\n" in example
    words = shlex.split(example.replace("\\\n", ""))
    assert words[:8] == [
        "freehold", "routes", "set", "support", "--model", "gpt-4o", "--incumbent", "incumbent"
    ]  # fmt: skip
    assert words[8:10] == ["--candidate", "local/base:app"]
