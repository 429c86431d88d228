import json

import pytest
from click.testing import CliRunner

from freehold.cli.main import cli
from freehold.errors import UsageError


def power(*options):
    return CliRunner().invoke(cli, ["power", *options])


def test_rows_with_what_a_given_n_can_show():
    result = power("--margin", "0.05", "--discordance", "0.1", "--n", "200", "--json")
    out = json.loads(result.stdout)
    equal = out["rows"][0]
    assert (equal["n"], equal["n_normal"]) == (351, 314)
    assert equal["power"] >= 0.8
    assert equal["power_at_n"] == pytest.approx(0.56, abs=0.01)
    assert out["zero_loss_n"] == 75
    assert out["rows"][1]["n"] > equal["n"]


@pytest.mark.parametrize(
    "options",
    [
        ["--margin", "0"],
        ["--margin", "0.02", "--discordance", "0.01", "--difference", "0.05"],
        ["--margin", "0.02", "--discordance", "0.1", "--difference", "-0.03"],
        ["--margin", "0.02", "--pilot", "30", "20"],
    ],
)
def test_impossible_assumptions_are_refused(options):
    assert isinstance(power(*options).exception, UsageError)
