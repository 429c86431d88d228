"""The rules on counts and the rules on items say the same."""

import numpy as np
import pytest
from benchmarks.calibration import bare_counts
from benchmarks.calibration.bare_counts import SliceCounts

from freehold.stats.compare import compare_scores
from freehold.stats.rules import DecisionRule


def columns(wins, losses, n):
    return [0.0] * wins + [1.0] * (n - wins), [1.0] * wins + [0.0] * losses + [1.0] * (n - wins - losses)


@pytest.mark.parametrize("seed", range(6))
def test_a_verdict_from_counts_is_the_verdict_from_items(seed):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(20, 600))
    wins, losses = (int(count) for count in rng.binomial(n, rng.choice([0.005, 0.03, 0.15], size=2)))
    rule = DecisionRule(margin=float(rng.choice([0.03, 0.1])))
    unscored = int(rng.integers(0, 4))
    incumbent, candidate = columns(wins, losses, n)
    whole = compare_scores(
        [str(row) for row in range(n + unscored)],
        incumbent + [1.0] * unscored,
        candidate + [None] * unscored,
        rule,
    )
    counted = bare_counts.paired_binary_verdict(wins, losses, n, rule, unscored_pairs=unscored)
    assert (counted.verdict, counted.reason) == (whole.verdict, whole.reasons[0])
    assert (counted.lower, counted.upper) == pytest.approx((whole.ci_low, whole.ci_high), abs=1e-12)
    assert counted.p_exact_promote == whole.p_exact
    asked = whole.ci_high < -whole.margin and counted.p_exact_reject is not None
    assert whole.p_reject == (counted.p_exact_reject if asked else None)


def test_harm_of_slices_from_counts_is_that_of_items():
    counts = [SliceCounts("f=a", 4, 30, 100), SliceCounts("f=b", 3, 2, 80), SliceCounts("f=c", 0, 9, 9)]
    incumbent, candidate, values = [], [], []
    for part in counts:
        left, right = columns(part.wins, part.losses, part.n)
        incumbent, candidate = incumbent + left, candidate + right
        values += [part.name[2:]] * part.n
    rule = DecisionRule(margin=0.02)
    whole = compare_scores([str(i) for i in range(189)], incumbent, candidate, rule, slices={"f": values})
    found = bare_counts.slice_harm(counts, margin=rule.harm_margin)
    by_name = {part.name: part for part in whole.slices}
    assert found.tested == ("f=a", "f=b")
    assert found.p_harm == pytest.approx([by_name[name].p_harm for name in found.tested], abs=1e-12)
    assert found.p_holm == pytest.approx([by_name[name].p_harm_adjusted for name in found.tested], abs=1e-12)
    assert found.flagged == tuple(part.name for part in whole.slices if part.harmed) == ("f=a",)
    assert found.worst_first[0] == whole.slices[0].name


def test_nothing_large_enough_flags_nothing():
    found = bare_counts.slice_harm([SliceCounts("tiny", 0, 9, 9)], margin=0.05)
    assert found == ((), (), (), (), ())
