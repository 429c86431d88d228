"""`freehold encoders`, and serving one by its name."""

import json

import pytest
from click.testing import CliRunner
from tests.workflows.train.owned import owned_encoder

from freehold.cli.train.encoders import command
from freehold.workflows.project import open_project


@pytest.fixture
def project(tmp_path, monkeypatch):
    (tmp_path / "freehold.toml").write_text('[app]\nname = "shop"\n')
    monkeypatch.chdir(tmp_path)
    return open_project()


def run(*arguments):
    done = CliRunner().invoke(command, arguments)
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done


def test_list_and_show_say_what_there_is(project):
    assert "no encoders yet" in run("list").stderr
    encoder = owned_encoder(project)
    line = run("list").stdout
    assert line == "abcdef012345  support  frozen  test/tiny  92.5% of 40 right  120 samples\n"
    shown = run("show", "support").stdout
    assert "one of 4 labels" in shown and "calibration error 0.031" in shown and encoder.path in shown
    assert json.loads(run("list", "--json").stdout)["items"][0]["id"] == encoder.id


def test_export_and_remove(project):
    encoder = owned_encoder(project)
    made = run("export", "support", "--out", "given").stdout
    assert "given" in made and 'python ask.py "your text"' in made
    assert run("rm", "support", "--yes").stdout.startswith("freed ")
    assert "no encoders yet" in run("list").stderr
    owned_encoder(project)
    told = json.loads(run("rm", "support", "--yes", "--json").stdout)
    assert told["name"] == "support" and told["freed_bytes"] > 0
    assert encoder.path
