"""A rollout from Python: refused as on the command line, and on the record."""

import pytest

import freehold
from freehold.errors import FreeholdError, UsageError


@pytest.fixture
def traffic(tmp_path, monkeypatch):
    monkeypatch.setenv("FREEHOLD_HOME", str(tmp_path / "home"))
    (tmp_path / "freehold.toml").write_text(
        '[app]\nname = "support"\n[incumbent]\nmodel = "gpt-4o"\nbase_url = "http://127.0.0.1:1"\n'
        '[serve]\nengine = "echo"\n'
    )
    return freehold.Project.load(tmp_path).traffic


def test_a_rollout_moves_as_far_as_its_tests_allow(traffic):
    with pytest.raises(UsageError, match="no rollout"):
        traffic.status()
    assert traffic.begin(candidate="local-model").state == "shadow"
    assert traffic.status().missing
    for step in (traffic.advance, traffic.promote):
        with pytest.raises(UsageError, match="not yet: ") as refused:
            step()
        with pytest.raises(UsageError) as foreseen:
            traffic.check_allowed(promotes=step == traffic.promote)
        assert foreseen.value.message == refused.value.message
    assert traffic.pause(why="lunch").state == "paused"
    traffic.check_allowed()
    assert traffic.advance().rollout.state == "shadow"
    assert traffic.roll_back(why="complaints").state == "rolled_back"
    for promotes in (False, True):
        with pytest.raises(UsageError, match="is over"):
            traffic.check_allowed(promotes=promotes)


def test_a_check_needs_a_promoted_route(traffic):
    assert traffic.checks() == ()
    with pytest.raises(FreeholdError):
        traffic.watch()


def test_a_gateway_is_started_found_and_stopped(traffic):
    assert traffic.running() is None
    with pytest.raises(UsageError):
        traffic.stop()
