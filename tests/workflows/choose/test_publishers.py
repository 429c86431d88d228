import json

import pytest
from click.testing import CliRunner

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


@pytest.mark.parametrize("arguments", [["publishers"], ["gap"], ["gap", "Banking77"]])
def test_commands(arguments):
    text = CliRunner().invoke(cli, arguments)
    assert text.exit_code == 0
    assert text.stdout
    assert json.loads(CliRunner().invoke(cli, [*arguments, "--json"]).stdout)["items"]
