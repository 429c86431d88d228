"""A tilde that the shell left is the home folder, in every path of every command."""

from pathlib import Path

import click
import pytest
from tests.cli.test_documents import COMMANDS

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


def test_other_names_stay_as_they_are():
    for name in ("a~", "~user/x", "./~/x", "-"):
        assert click.Path().convert(name, None, None) == name


@pytest.mark.parametrize(("words", "parameter"), PATHS, ids=lambda one: getattr(one, "name", one))
def test_an_empty_path_is_not_the_current_folder(words, parameter):
    with pytest.raises(click.BadParameter, match="names no path"):
        parameter.type.convert("", parameter, None)


def test_no_folder_of_that_name_is_made(freehold, monkeypatch, tmp_path):
    home = tmp_path / "me"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    (home / "p.jsonl").write_text('{"id": 1, "a": 1, "b": 1}\n{"id": 2, "a": 1, "b": 1}\n')
    ran = freehold("compare", "--pairs=~/p.jsonl", "--margin", 0.02, "--markdown=~/out.md")
    assert ran.code in (0, 3), ran
    assert (home / "out.md").exists() and not (tmp_path / "~").exists()
