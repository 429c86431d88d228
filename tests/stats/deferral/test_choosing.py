"""What is chosen on the selection split, and what is refused in which words."""

import numpy as np
import pytest
from tests.stats.deferral.signals import curve, told


def test_the_threshold_is_worth_most_and_passes():
    found, _ = curve(*told())
    assert found.refused is None and found.chosen is not None
    point = found.points[found.chosen]
    assert found.chance >= 0.8
    assert 0.3 < point.share < found.oracle_share < 1
    assert point.low > -0.03 and point.difference > point.random


RAW, D = told()


@pytest.mark.parametrize(
    ("raw", "differences", "changed", "reason"),
    [
        (np.full(1000, np.nan), D, {}, "no answer carries this signal"),
        (np.full(1000, 0.7), D, {}, "the signal is 0.7 for every answer"),
        (np.where(np.arange(1000) < 100, RAW, np.nan), D, {}, "only 10% of answers carry this signal"),
        (np.random.default_rng(9).random(1000), -1.0 * (np.random.default_rng(8).random(1000) < 0.01), {},
         "not shown to tell good answers from bad ones"),
        (-RAW, D, {}, "at the least share (20%) the mixture may be"),
        (RAW, np.zeros(1000), {}, "as good as the incumbent on all 1,000"),
        (RAW, -np.ones(1000), {}, "worse than the incumbent on all 1,000"),
        (RAW, np.full(1000, np.nan), {}, "no selection sample has two scores"),
        (RAW[:120], D[:120], {}, "120 selection samples cannot show a drop of less than 3 points"),
        (RAW, D, {"held_out": 29}, "fewer than 30 held-out samples"),
        (RAW, D, {"held_out": 100}, "no share has an even chance that the 100 held-out samples promote it"),
        (RAW, D, {"least_share": 0.995}, "no threshold answers 100% or more here"),
        (RAW, D, {"least_share": 0.9}, "at the least share (90%) the mixture may be"),
    ],
)  # fmt: skip
def test_what_cannot_be_chosen_is_refused_in_words(raw, differences, changed, reason):
    found, calibration = curve(raw, differences, **changed)
    assert found.chosen is None and found.chance is None
    assert reason in found.refused
    assert 0 <= calibration(0.5) <= 1


def test_a_slice_is_not_harmed_behind_a_good_mean():
    raw, d = told(2000, scale=0.1)
    team = np.where(np.arange(2000) % 20 == 0, "b", "a")
    d = np.where((team == "b") & (np.arange(2000) % 3 == 0), -1.0, d)
    bare, _ = curve(raw, d, held_out=4000)
    assert bare.chosen is not None
    team_of = {"team": team.tolist()}
    found, _ = curve(raw, d, held_out=4000, slices=team_of)
    assert found.chosen < bare.chosen
    found, _ = curve(raw, d, held_out=4000, slices=team_of, least_share=0.6)
    assert found.chosen is None
    assert "at every share that passes a slice is harmed: team=b loses" in found.refused
    spared, _ = curve(np.where(team == "b", np.nan, raw), d, held_out=4000, slices=team_of, least_share=0.6)
    assert spared.chosen is not None
