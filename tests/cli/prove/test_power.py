import json
import resource
import subprocess
import sys

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


def test_a_pilot_is_planned_with_its_upper_limit_and_clusters_multiply():
    alone = json.loads(power("--margin", "0.1", "--pilot", "12", "200", "--json").stdout)
    together = json.loads(
        power(
            "--margin", "0.1", "--pilot", "12", "200", "--cluster-size", "5", "--icc", "0.5", "--json"
        ).stdout
    )
    assert alone["rows"][0]["discordance"] > 0.06
    assert together["design_effect"] == 3
    assert together["rows"][0]["n"] == 3 * alone["rows"][0]["n"]


def test_scores_that_are_not_binary():
    result = power("--margin", "0.05", "--sd", "0.25", "--n", "100")
    assert result.exit_code == 0
    assert "199" in result.output
    assert "not binary" in result.output


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


@pytest.mark.process
def test_a_plan_is_there_before_one_looks_elsewhere():
    planned = [sys.executable, "-m", "freehold", "power", "--margin", "0.02"]
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    subprocess.run(planned, check=True, capture_output=True)
    # Processor time, which a busy machine does not stretch as it does the clock; three to six seconds once.
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before < 2.5
