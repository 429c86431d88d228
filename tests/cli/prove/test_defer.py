import json

import pytest
from click.testing import CliRunner
from tests.documents import check
from tests.report.sample_mixture import mixture

from freehold.cli.main import cli
from freehold.errors import UsageError
from freehold.store import open_store
from freehold.workflows.project import open_project


@pytest.fixture
def project(tmp_path, monkeypatch):
    (tmp_path / "freehold.toml").write_text('[app]\nname = "app"\n')
    monkeypatch.chdir(tmp_path)
    with open_store(open_project(None).store_url) as store:
        store.put(mixture())
    return tmp_path


def defer(*words):
    return CliRunner().invoke(cli, ["defer", *words])


def test_a_candidate_is_named_as_served_or_as_in_the_report(project):
    assert defer("curve", "--candidate", "org/small · encoder").exit_code == 0
    with pytest.raises(UsageError, match="no mixture of smal was planned") as caught:
        CliRunner().invoke(cli, ["defer", "curve", "--candidate", "smal"], catch_exceptions=False)
    assert "small:app" in caught.value.hint


def test_without_one_the_command_that_plans_it_is_named(tmp_path, monkeypatch):
    (tmp_path / "freehold.toml").write_text('[app]\nname = "app"\n')
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match="no mixture was planned yet") as caught:
        CliRunner().invoke(cli, ["defer", "curve"], catch_exceptions=False)
    assert caught.value.hint == "freehold defer plan"


def test_curve_in_the_terminal_and_as_json(project):
    said = defer("curve")
    assert said.exit_code == 0 and "by lot" in said.output
    text = defer("curve", "--json").stdout
    check(text)
    told = json.loads(text)
    assert told["items"][0]["signal"] == "probability"
