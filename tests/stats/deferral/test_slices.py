"""A mixture's slices are those of the verdict, with the incumbent's answer where it answers."""

import numpy as np
import pytest

from freehold.stats.compare import compare_scores
from freehold.stats.deferral.slices import mixture_slices
from freehold.stats.rules import DecisionRule

RULE = DecisionRule(margin=0.03)


def test_slices_are_those_of_the_verdict_on_the_mixture():
    rng = np.random.default_rng(0)
    incumbent, candidate = (rng.random((2, 300)) < 0.85).astype(float)
    here = rng.random(300) < 0.5
    language = rng.choice(["de", "fr", "it"], 300).tolist()
    mixed = np.where(here, candidate, incumbent)
    verdict = compare_scores(
        [str(row) for row in range(300)],
        incumbent.tolist(),
        mixed.tolist(),
        RULE,
        slices={"language": language},
    )
    found = mixture_slices(candidate - incumbent, here, {"language": language}, RULE)
    assert [(one.name, one.difference, one.ci_low, one.p_harm) for one in found] == [
        (one.name, pytest.approx(one.difference), pytest.approx(one.ci_low), pytest.approx(one.p_harm))
        for one in verdict.slices
    ]


def test_the_harmed_slice_comes_first_behind_a_good_mean():
    field = ["a"] * 900 + ["b"] * 100
    d = np.where(np.arange(1000) >= 960, -1.0, 0.0)
    d[:40] = 1.0
    found = mixture_slices(d, np.ones(1000, dtype=bool), {"team": field}, RULE)
    assert d.mean() == 0
    assert [(one.name, one.harmed) for one in found] == [("team=b", True), ("team=a", False)]
    spared = mixture_slices(d, np.arange(1000) < 900, {"team": field}, RULE)
    assert not any(one.harmed for one in spared)


def test_unscored_samples_count_where_the_incumbent_answers():
    d = np.full(60, np.nan)
    found = mixture_slices(d, np.arange(60) < 20, {"team": ["a"] * 60}, RULE)
    assert found[0].n == 40
