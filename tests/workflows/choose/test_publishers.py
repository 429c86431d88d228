import json

import pytest
from click.testing import CliRunner

from freehold.catalog import publishers
from freehold.cli.main import cli
from freehold.errors import UsageError
from freehold.workflows.choose.publishers import show


def test_licences_and_cadence_are_counted():
    (google,) = show("google")
    assert google.models >= 8
    assert google.first < google.latest
    assert google.licenses
    assert "Apache-2.0 from Gemma 4" in google.drift
    assert "pin the release" in google.reliance
    with pytest.raises(UsageError) as caught:
        show("Gogle")
    assert "Google" in caught.value.hint


def test_publishers_with_one_licence_are_not_said_to_differ():
    (openai,) = show("OpenAI")
    assert "one licence over all releases" in openai.reliance
    assert "Apache License 2.0" in CliRunner().invoke(cli, ["publishers", "OpenAI"]).stdout


def test_commands():
    text = CliRunner().invoke(cli, ["publishers"])
    assert text.exit_code == 0
    assert text.stdout
    assert json.loads(CliRunner().invoke(cli, ["publishers", "--json"]).stdout)["items"]


def test_without_a_name_all_are_shown_and_an_owner_on_the_hub_is_a_name():
    assert show() == publishers.publishers()
    (row,) = show("Qwen")
    assert any(owner.lower() == "qwen" for owner in row.owners)
