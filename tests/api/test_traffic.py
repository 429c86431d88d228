"""A rollout from Python: refused as on the command line, and on the record."""

from decimal import Decimal

import pytest

import freehold
from freehold.api.values import decimal, low_high, token_price, use_of
from freehold.errors import ConfigError, FreeholdError, UsageError
from freehold.types.config import AppConfig, ProjectConfig, UseProfile


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


class Opened:
    config = ProjectConfig(app=AppConfig(name="x"), use=UseProfile(mode="internal"))


def test_amounts_are_exact_and_finite():
    assert decimal("2_000_000.10") == Decimal("2000000.10") and decimal(0.1) == Decimal("0.1")
    assert decimal(None) is None
    for wrong in ("two", float("nan"), "inf"):
        with pytest.raises(UsageError, match="number"):
            decimal(wrong)


def test_one_amount_or_two_ends():
    assert (low_high("2.5").low, low_high("2.5").high) == (Decimal("2.5"), Decimal("2.5"))
    assert (low_high((1, 2)).low, low_high((1, 2)).high) == (1, 2)
    assert low_high(None) is None
    assert token_price((1, "2.5")).output_usd_per_million_tokens == Decimal("2.5")
    assert token_price(None) is None


def test_a_use_is_a_profile_its_keys_or_the_projects():
    assert use_of(None, Opened).mode == "internal"
    assert use_of({"mode": "research", "regions": ["EU"]}, Opened) == UseProfile(
        mode="research", regions=("EU",)
    )
    assert use_of(UseProfile(commercial=True), Opened).commercial
    with pytest.raises(ConfigError, match="mod"):
        use_of({"mod": "internal"}, Opened)
    with pytest.raises(ConfigError, match="commercial"):
        use_of({"commercial": "perhaps"}, Opened)
