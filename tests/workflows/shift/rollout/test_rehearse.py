"""The rehearsal is the test from one end to the other: gateway, engines, store, observer, rollback."""

import json

import pytest
from click.testing import CliRunner

from freehold.cli.main import cli
from freehold.workflows.shift.rollout.rehearse import RehearsalSettings, rehearse

pytestmark = pytest.mark.process


@pytest.mark.parametrize("fault", ["quality", "errors", "slow"])
def test_a_bad_candidate_is_rolled_back_and_gets_nothing_after_a_second(fault):
    made = rehearse(margin=0.1, drop=0.5, fault=fault)
    assert made.rolled_back and made.late_requests == 0 and made.passed
    assert made.requests < 600 and (fault if fault != "slow" else "latency") in made.why


def test_a_good_candidate_stays(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(
        cli, ["rollout", "rehearse", "--quick", "--drop", "0", "--most", "160", "--json"]
    )
    made = json.loads(result.stdout)
    assert result.exit_code == 3 and not made["rolled_back"] and made["late_requests"] is None


def test_a_rehearsal_at_a_rate_sends_at_that_rate():
    settings = RehearsalSettings(rate=40.0, canary_share=0.5, failure_window_s=1.0, look_seconds=0.5)
    made = rehearse(margin=0.1, drop=0.5, fault="errors", settings=settings)
    assert made.passed and made.requests == pytest.approx(40 * made.seconds, rel=0.3)
