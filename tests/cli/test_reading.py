"""How the command line reads numbers and paths, and breaks its help."""

import shlex
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from tests.cli.test_documents import COMMANDS, MORE, filled

from freehold.cli.main import cli


def taking(number):
    for words, command in COMMANDS.items():
        for option in command.params:
            kinds = option.type.types if isinstance(option.type, click.Tuple) else [option.type]
            counts = getattr(option, "count", False)
            if any(isinstance(kind, number) for kind in kinds) and not counts:
                yield words, option.opts[0]


def given(words, option, value):
    command = COMMANDS[words]
    kind = next(one.type for one in command.params if option in one.opts)
    values = [value] * (len(kind.types) if isinstance(kind, click.Tuple) else 1)
    return [*words.split(), *MORE.get(words, filled(command)), option, *values]


@pytest.mark.parametrize("value", ["nan", "1e999"])
@pytest.mark.parametrize(("words", "option"), list(taking(click.types.FloatParamType)))
def test_every_float_is_finite(freehold, tmp_path, words, option, value):
    (tmp_path / "file.txt").write_text("")
    ran = freehold(*given(words, option, value))
    assert ran.code == 2 and ran.out == "", ran
    assert option in ran.err, ran.err
    assert "is not a finite number" in ran.err or "is not in the range" in ran.err, ran.err


@pytest.mark.parametrize(("words", "option"), list(taking(click.types.IntParamType)))
def test_every_integer_fits_into_64_bits(freehold, tmp_path, words, option):
    (tmp_path / "file.txt").write_text("")
    ran = freehold(*given(words, option, "9" * 25))
    assert ran.code == 2 and ran.out == "", ran
    assert option in ran.err, ran.err
    assert "too large a number" in ran.err or "is not in the range" in ran.err, ran.err


def test_a_long_example_can_be_pasted():
    shown = CliRunner().invoke(cli, ["routes", "--help"], terminal_width=80).output
    example = shown[shown.index("freehold routes set support --model") :].split("--limit")[0]
    assert " \\\n" in example
    words = shlex.split(example.replace("\\\n", ""))
    assert words[:8] == [
        "freehold", "routes", "set", "support", "--model", "gpt-4o", "--incumbent", "incumbent"
    ]  # fmt: skip
    assert words[8:10] == ["--candidate", "local/base:app"]


PATHS = [
    (words, one)
    for words, command in COMMANDS.items()
    for one in command.params
    if isinstance(one.type, click.Path)
]


@pytest.mark.parametrize(("words", "parameter"), PATHS, ids=lambda one: getattr(one, "name", one))
def test_every_path(monkeypatch, tmp_path, words, parameter):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "x").write_text("")
    kind = parameter.type
    if not kind.file_okay:
        (tmp_path / "x").unlink()
        (tmp_path / "x").mkdir()
    assert Path(kind.convert("~/x", parameter, None)) == tmp_path / "x"


@pytest.mark.parametrize(("words", "parameter"), PATHS, ids=lambda one: getattr(one, "name", one))
def test_an_empty_path_is_not_the_current_folder(words, parameter):
    with pytest.raises(click.BadParameter, match="names no path"):
        parameter.type.convert("", parameter, None)
