"""The rehearsal is the test from one end to the other: gateway, engines, store, observer, rollback."""

import json

import pytest
from click.testing import CliRunner

from freehold.cli.main import cli
from freehold.workflows.shift.rollout.rehearse import rehearse

pytestmark = pytest.mark.process


@pytest.mark.parametrize("fault", ["quality", "slow"])
def test_a_bad_candidate_is_rolled_back_and_gets_nothing_after_a_second(fault):
    made = rehearse(margin=0.1, drop=0.5, fault=fault)
    assert made.rolled_back and made.late_requests == 0 and made.passed
    assert made.requests < 600 and (fault if fault != "slow" else "latency") in made.why


def test_a_good_candidate_stays():
    made = rehearse(margin=0.1, drop=0, most_requests=160)
    assert not made.passed and not made.rolled_back and made.late_requests is None


def test_the_command_says_when_it_was_rolled_back(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "freehold.toml").write_text('[app]\nname = "x"\n[task]\nmargin = 0.1\n')
    result = CliRunner().invoke(cli, ["rollout", "rehearse", "--fault", "errors", "--drop", "0.5", "--json"])
    made = json.loads(result.stdout)
    assert result.exit_code == 0 and made["rolled_back"] and made["margin"] == 0.1
