import numpy as np
import pytest
import statsmodels.api as sm
from tests.stats.conftest import counted, run

from freehold.stats import clustered
from freehold.verdict.reasons import noted


def sample(k=40, seed=2, continuous=False):
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, 8, k)
    codes = np.repeat(np.arange(k), sizes)
    shared = rng.normal(0, 0.2, k)[codes]
    d = shared + rng.normal(0, 0.3, len(codes))
    return codes, d if continuous else np.round(np.clip(d * 1.4, -1, 1))


@pytest.mark.parametrize("continuous", [True, False])
def test_the_sandwich_is_statsmodels(continuous):
    codes, d = sample(continuous=continuous)
    fit = sm.OLS(d, np.ones(len(d))).fit(cov_type="cluster", cov_kwds={"groups": codes})
    found = clustered.cluster_robust_mean(codes, d)
    k, n = found.clusters, found.n
    correction = np.sqrt(k / (k - 1) * (n - 1) / (n - 1))
    ratio = found.se / (fit.bse[0] / np.sqrt(k / (k - 1) * (n - 1) / (n - 1)))
    assert found.estimate == pytest.approx(fit.params[0])
    assert ratio == pytest.approx(correction, rel=1e-9)


def test_labels_become_codes_in_order_of_appearance():
    assert clustered.encode_clusters(["b", "a", "b", "c"]).tolist() == [0, 1, 0, 2]


def test_total_agreement_counts_clusters():
    codes, d = np.repeat(np.arange(25), 4), np.zeros(100)
    found = clustered.clustered_binary_limits(codes, d, margin=0.05)
    assert found.design_effect_used == 4.0
    assert found.lower == pytest.approx(-0.1455818, abs=1e-6)


def test_the_bootstrap_agrees_with_t_for_many_clusters_and_mirrors():
    codes, d = sample(200, continuous=True)
    mean = clustered.cluster_robust_mean(codes, d)
    low, high = clustered.bootstrap_limits(codes, d)
    assert (low, high) == pytest.approx((mean.lower, mean.upper), abs=0.01)
    assert clustered.bootstrap_limits(codes, -d) == (-high, -low)
    order = np.random.default_rng(1).permutation(len(d))
    assert clustered.bootstrap_limits(codes[order], d[order]) == pytest.approx((low, high), abs=1e-12)


def test_of_each_unit_the_five_of_the_smallest_draw_count():
    codes = np.array([0] * 7 + [1] * 3 + [2])
    draw = np.array([9, 1, 8, 2, 7, 3, 6, 5, 5, 5, 0], dtype=np.uint64)
    kept = clustered.drawn(codes, draw)
    assert kept.tolist() == [False, True, False, True, True, True, True, *[True] * 4]


def test_continuous_clusters_without_variance_are_not_a_point():
    codes = np.repeat(np.arange(30), 3)
    limits, _ = clustered.clustered_continuous_limits(codes, np.zeros(90), margin=0.05)
    assert limits.lower < -0.1
    few = np.zeros(90)
    few[:3] = -0.2
    limits, _ = clustered.clustered_continuous_limits(codes, few, margin=0.05)
    assert "few_nonzero" in limits.parts


def test_equal_small_clusters_get_no_allowance():
    codes, d = np.repeat(np.arange(50), 4), np.zeros(200)
    d[[3, 50, 90]] = -1.0
    limits = clustered.clustered_binary_limits(codes, d, margin=0.05)
    clumps = clustered.clump_limits(codes, d, limits)
    assert clumps.lower == pytest.approx(limits.tango[0], abs=1e-12)


def test_items_without_a_group_are_units_of_their_own():
    assert clustered.encode_groups([None, None]) is None
    assert clustered.encode_groups([]) is None
    codes = clustered.encode_groups(["a", None, "a", None, "b"])
    assert codes.tolist() == [0, 1, 0, 2, 3]


def test_a_harmed_slice_vetoes_and_is_listed_first():
    pairs = counted(both=900, wins=60) + counted(both=60, losses=40)
    result = run(pairs, margin=0.02, slices={"language": ["en"] * 960 + ["de"] * 100})
    assert result.verdict == "hold"
    assert result.reasons == ("slice_harm",)
    assert [part.name for part in result.slices] == ["language=de", "language=en"]
    assert result.slices[0].harmed


def test_small_slices_are_listed_not_tested():
    result = run(counted(both=100), slices={"language": ["en"] * 90 + ["it"] * 9 + [None]})
    small = next(part for part in result.slices if part.name == "language=it")
    assert (small.n, small.p_harm, small.note) == (9, None, "too small to test")


def test_clustered_slices_count_units_and_one_unit_says_nothing():
    pairs = counted(both=900, wins=10) + counted(losses=60, both=30)
    values = ["en"] * 910 + ["de"] * 90
    alone = run(pairs, slices={"language": values})
    together = run(
        pairs,
        slices={"language": values},
        clusters=[f"u{i}" for i in range(910)] + ["one user"] * 90,
        whole_units=True,
    )
    assert {part.name: part.harmed for part in alone.slices} == {"language=de": True, "language=en": False}
    lonely = next(part for part in together.slices if part.name == "language=de")
    assert (lonely.ci_low, lonely.ci_high, lonely.p_harm, lonely.harmed) == (-1.0, 1.0, 1.0, False)


def test_continuous_slices_use_t_and_the_signs_where_little_differs():
    rng = np.random.default_rng(4)
    pairs = [(0.5, 0.3 + 0.1 * float(rng.random())) for _ in range(60)] + [(0.5, 0.5)] * 40
    result = run(pairs, margin=0.02, slices={"kind": ["worse"] * 60 + ["same"] * 40})
    worse, same = (
        next(part for part in result.slices if part.name == f"kind={k}") for k in ("worse", "same")
    )
    assert worse.harmed
    assert worse.ci_low < worse.difference < worse.ci_high < 0
    assert (worse.a_only, worse.margin) == (None, 0.05)
    assert same.ci_low < 0 < same.ci_high
    assert (same.p_harm, same.harmed) == (1.0, False)


def test_a_value_of_two_fields_is_two_slices_and_unscored_items_are_in_none():
    pairs = [*counted(both=30), (1.0, None)]
    result = run(pairs, slices={"a": ["x"] * 31, "b": ["x"] * 30 + ["y"]})
    assert {part.name: part.n for part in result.slices} == {"a=x": 30, "b=x": 30}


def test_limits_lie_within_what_is_possible_and_the_largest_drop_comes_first():
    """A t interval of a few scattered scores said that a slice was −176.8 to +110.1 points worse."""
    pairs = [(1.0, 0.2), (0.4, 1.0), (0.9, 0.0)] + [(1.0, 0.9)] * 100 + [(1.0, 0.4), (0.6, 0.1)] * 12
    values = ["sv"] * 3 + ["en"] * 100 + ["de"] * 24
    found = run(pairs, margin=0.03, slices={"language": values}).slices
    assert [part.name for part in found] == ["language=de", "language=en", "language=sv"]
    assert all(-1 <= part.ci_low <= part.difference <= part.ci_high <= 1 for part in found)
    assert found[-1].note == "too small to test"


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
    assert run(binary, clusters=users).method == "t interval over clusters, widened to Tango's"
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
