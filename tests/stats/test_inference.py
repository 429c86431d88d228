import numpy as np
import pytest
from tests.stats.conftest import counted, run

from freehold.verdict.reasons import noted


def test_one_cluster_has_no_interval():
    result = run(counted(both=50, wins=2), clusters=["only"] * 52)
    assert (result.verdict, result.reasons) == ("hold", ("too_few_pairs",))
    assert result.ci_low is None


def test_unscored_pairs_that_could_hide_harm_hold():
    pairs = counted(both=973, wins=3, losses=4) + [(1.0, None)] * 20
    result = run(pairs, margin=0.02)
    assert (result.verdict, result.reasons) == ("hold", ("unscored_pairs_could_hide_harm",))
    assert result.unscored == {"candidate_only": 20, "incumbent_only": 0, "both": 0}
    assert result.lower_worst < -0.02
    assert "unevenly" in noted(result).notes[0]


def test_no_unscored_pair_is_forgiven():
    """471 items at 3 points: 12 losses stay within the margin, and the 3 that could not be scored would not."""
    pairs = counted(both=453, losses=3, wins=0)
    assert run([*pairs, *counted(both=15)], margin=0.03).verdict == "promote"
    held = run([*pairs, *[(1.0, None)] * 3, *counted(both=12)], margin=0.03)
    assert held.unscored["candidate_only"] == 3
    lost = run([*pairs, *counted(losses=3, both=12)], margin=0.03)
    assert (held.verdict, held.lower_worst) == (lost.verdict, lost.ci_low)


def test_heavy_users_count_by_five_items_and_the_whole_mean_is_told():
    """One user in ten has 40 items, and loses them; the others win some."""
    pairs, users = [], []
    for user in range(100):
        heavy = user % 10 == 0
        pairs += counted(losses=40) if heavy else counted(wins=1, both=2)
        users += [str(user)] * (40 if heavy else 3)
    found = run(pairs, clusters=users)
    assert (found.n, found.n_groups) == (90 * 3 + 10 * 5, 100)
    assert found.difference == pytest.approx((90 - 50) / 320)
    (note,) = [one for one in noted(found).notes if "heavy users" in one]
    assert note.endswith("Over all items the difference is -0.4627.")
    assert "drawn by their ids: 320 of 670 in all" in note


def test_whole_users_that_could_be_lost_hold_a_verdict():
    """Sixty users of whom none is lost cannot show that fewer than one in twenty is; eighty can."""

    def held(users):
        pairs = counted(both=5 * users - 12, wins=6, losses=6)
        order = [(7 * row) % len(pairs) for row in range(len(pairs))]  # no user has two of the twelve
        return run([pairs[row] for row in order], clusters=[str(row // 5) for row in range(len(pairs))])

    assert held(60).reasons == ("rare_losses_could_hide_harm",)
    assert held(80).verdict == "promote"


def test_no_variance_is_not_certainty():
    result = run([(0.5, 0.5)] * 50, margin=0.05)
    assert result.verdict == "hold"
    assert result.ci_low == pytest.approx(-0.0713476, abs=1e-6)
    shifted = run([(0.5, 0.6)] * 50, margin=0.01)
    assert shifted.ci_low < 0.1 < shifted.ci_high


def test_skewed_continuous_scores_use_the_wider_limits():
    rng = np.random.default_rng(2)
    pairs = [(0.9, 0.9 if rng.random() < 0.7 else float(rng.random())) for _ in range(60)]
    result = run(pairs, margin=0.3)
    assert set(result.intervals) == {"t", "studentised"}
    assert result.ci_low == min(result.intervals["t"][0], result.intervals["studentised"][0])
    assert result.a_only is None


def test_large_clusters_allow_for_clumps_not_seen_yet():
    pairs = counted(both=950, wins=20, losses=30)
    rows = [pairs[(37 * i) % 1000] for i in range(1000)]
    small = run(rows, clusters=[str(i // 4) for i in range(1000)])
    large = run(rows, clusters=[str(i // 20) for i in range(1000)])
    assert small.ci_low == min(
        limits[0] for name, limits in small.intervals.items() if name not in {"unseen_clumps", "independent"}
    )
    assert large.ci_low == large.intervals["unseen_clumps"][0]
    assert large.ci_low < large.intervals["tango_effective_n"][0]


def test_each_kind_of_data_has_its_method():
    rng = np.random.default_rng(1)
    pairs = [(float(x), float(y)) for x, y in rng.random((60, 2))]
    users = [str(i // 2) for i in range(60)]
    binary = counted(both=50, wins=5, losses=5)
    assert run(binary).method == "Tango score interval with exact guard"
    assert run(counted(both=2100)).method == "Tango score interval"
    assert run(binary, clusters=users).method == "cluster-robust t and Tango at effective n"
    assert run(pairs).method == "t and studentised bootstrap"
    assert run(pairs, clusters=users).method == "cluster-robust t and bootstrap over clusters"
    assert run([(None, None)]).method == "none"


def test_clusters_of_one_item_are_items():
    binary = counted(both=50, wins=5, losses=5)
    alone, single = run(binary), run(binary, clusters=[str(i) for i in range(60)])
    assert (single.ci_low, single.ci_high, single.n_groups) == (alone.ci_low, alone.ci_high, None)


@pytest.mark.parametrize("clustered", [False, True])
@pytest.mark.parametrize("score", [1.0, 0.7])
def test_the_worst_case_is_wider_and_there_only_with_unscored_pairs(clustered, score):
    pairs = [(score, score)] * 40 + counted(wins=2, losses=2)
    options = {"clusters": [str(i // 2) for i in range(46)]} if clustered else {}
    gaps = run([*pairs, (1.0, None), (None, 1.0)], **options)
    assert gaps.lower_worst < gaps.ci_low
    whole = run(pairs, **({"clusters": options["clusters"][:44]} if clustered else {}))
    assert whole.lower_worst is None
