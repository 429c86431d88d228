import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from freehold.errors import UsageError
from freehold.stats.compare import ScoreContext, compare_scores
from freehold.stats.continuous import Resampling
from freehold.stats.rules import DecisionRule
from freehold.types.evaluation import Comparison

SCORES = st.lists(
    st.tuples(st.sampled_from([0.0, 1.0]), st.sampled_from([0.0, 1.0])), min_size=2, max_size=60
)
REALS = st.lists(
    st.tuples(
        st.floats(0, 1).map(lambda v: round(v, 3)),
        st.floats(0, 1).map(lambda v: round(v, 3)),
    ),
    min_size=3,
    max_size=60,
)


def run(pairs, **options):
    a, b = [p[0] for p in pairs], [p[1] for p in pairs]
    rule = {name: options.pop(name) for name in ("margin", "slice_margin", "lo", "hi") if name in options}
    known = {name: options.pop(name) for name in ("self_noise", "looks") if name in options}
    return compare_scores(
        [str(i) for i in range(len(pairs))],
        a,
        b,
        DecisionRule(**{"margin": 0.05, **rule}),
        context=ScoreContext(**known),
        resampling=Resampling(resamples=499),
        **options,
    )


def counted(both=0, wins=0, losses=0, neither=0):
    return [(1.0, 1.0)] * both + [(0.0, 1.0)] * wins + [(1.0, 0.0)] * losses + [(0.0, 0.0)] * neither


def test_total_agreement_is_not_proof_at_twenty_but_is_at_a_thousand():
    small, large = run(counted(both=20), margin=0.02), run(counted(both=1000), margin=0.02)
    assert (small.verdict, small.reasons[0]) == ("hold", "interval_spans_margin")
    assert small.ci_low == pytest.approx(-0.161125, abs=1e-5)
    assert small.needed_n is not None
    assert small.needed_n > 100
    assert (large.verdict, large.reasons) == ("promote", ("noninferior",))


def test_reject_needs_proof_of_harm_beyond_the_margin():
    shown = run(counted(both=350, wins=2, losses=40, neither=8), margin=0.05)
    assert (shown.verdict, shown.reasons) == ("reject", ("worse_than_margin",))
    measurable = run(counted(both=1465, wins=5, losses=30), margin=0.02)
    assert measurable.verdict == "hold"
    assert measurable.reasons == ("measurably_worse_margin_not_excluded",)


def test_superior_and_inside_the_margin_are_told_apart():
    assert run(counted(both=420, wins=60, losses=20), margin=0.02).reasons == ("superior",)
    worse = run(counted(both=4950, wins=5, losses=45), margin=0.02)
    assert (worse.verdict, worse.reasons) == ("promote", ("noninferior_but_measurably_worse",))


@settings(max_examples=20, deadline=None)
@given(st.one_of(SCORES, REALS), st.booleans())
def test_swapping_the_models_mirrors_everything(pairs, clustered):
    clusters = [str(i // 2) for i in range(len(pairs))] if clustered else None
    one = run(pairs, clusters=clusters)
    other = run([(b, a) for a, b in pairs], clusters=clusters)
    assert one.difference == pytest.approx(-other.difference, abs=1e-12)
    if one.ci_low is None:
        assert other.ci_low is None
    else:
        assert one.ci_low == pytest.approx(-other.ci_high, abs=1e-9)
        assert one.ci_high == pytest.approx(-other.ci_low, abs=1e-9)


@settings(max_examples=20, deadline=None)
@given(st.one_of(SCORES, REALS), st.booleans(), st.randoms())
def test_the_order_of_the_items_changes_nothing(pairs, clustered, random):
    rows = [(pair, str(i // 3)) for i, pair in enumerate(pairs)]
    shuffled = rows[:]
    random.shuffle(shuffled)
    results = []
    for order in (rows, shuffled):
        clusters = [name for _, name in order] if clustered else None
        results.append(run([pair for pair, _ in order], clusters=clusters))
    first, second = results
    assert first.verdict == second.verdict
    assert first.reasons == second.reasons
    for name in ("difference", "ci_low", "ci_high", "p_noninferiority", "needed_n"):
        one, two = getattr(first, name), getattr(second, name)
        assert (one is None and two is None) or one == pytest.approx(two, abs=1e-9)


@pytest.mark.parametrize("n", [40, 100])
def test_turning_a_loss_into_a_win_keeps_a_promote(n):
    for wins in (0, 1, 3):
        for losses in (1, 2, 4):
            before = run(counted(both=n - wins - losses, wins=wins, losses=losses), margin=0.2)
            after = run(counted(both=n - wins - losses, wins=wins + 1, losses=losses - 1), margin=0.2)
            assert before.verdict != "promote" or after.verdict == "promote"


def test_clusters_widen_the_interval_and_need_twenty():
    rng = np.random.default_rng(5)
    pairs, clusters = [], []
    for k in range(60):
        kind = rng.choice(["same", "win", "loss"], p=[0.8, 0.1, 0.1])
        pairs += {"same": [(1.0, 1.0)], "win": [(0.0, 1.0)], "loss": [(1.0, 0.0)]}[kind] * 8
        clusters += [f"user {k}"] * 8
    alone, together = run(pairs), run(pairs, clusters=clusters)
    assert together.n_groups == 60
    assert together.ci_high - together.ci_low > 2 * (alone.ci_high - alone.ci_low)
    assert any("independent units" in note for note in together.notes)
    few = run(counted(both=1000), clusters=[str(i // 100) for i in range(1000)], margin=0.5)
    assert few.verdict == "hold"
    assert "too_few_pairs" in few.reasons


def test_duplicating_rows_within_their_cluster_changes_no_limit():
    rng = np.random.default_rng(8)
    sizes = rng.integers(2, 9, 50)
    clusters = [str(k) for k, size in enumerate(sizes) for _ in range(size)]
    lost = [k for k in range(50) if rng.random() < 0.2]
    pairs = [(1.0, float(int(name) not in lost or rng.random() < 0.3)) for name in clusters]
    once = run(pairs, clusters=clusters)
    twice = run(pairs * 2, clusters=clusters * 2)
    assert once.design_effect > 1
    assert once.ci_low == pytest.approx(twice.ci_low, abs=1e-9)
    assert once.ci_high == pytest.approx(twice.ci_high, abs=1e-9)


def test_a_dominating_cluster_cannot_promote():
    result = run(counted(both=1000), clusters=["big"] * 300 + [str(i) for i in range(700)], margin=0.4)
    assert result.verdict == "hold"
    assert "cluster_dominates" in result.reasons


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
    assert "unevenly" in result.notes[0]


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
    assert set(result.intervals) >= {"t", "studentised", "bca"}
    assert result.ci_low == min(result.intervals["t"][0], result.intervals["studentised"][0])
    assert result.a_only is None


def test_a_margin_the_incumbent_itself_does_not_reach_proves_nothing():
    result = run(counted(both=5, neither=995), margin=0.02)
    assert result.verdict == "hold"
    assert result.reasons[0] == "margin_not_below_incumbent"


def test_nothing_scored_and_almost_nothing_scored_hold():
    assert run([(None, 1.0), (1.0, None)]).reasons == ("no_scored_pairs",)
    tiny = run(counted(both=3))
    assert tiny.verdict == "hold"
    assert "too_few_pairs" in tiny.reasons


def test_a_second_look_cannot_promote():
    assert run(counted(both=1000), looks=2).reasons == ("repeated_look",)


def test_self_noise_gives_the_power_ceiling():
    result = run(counted(both=190, wins=5, losses=5), margin=0.02, self_noise=0.2)
    assert result.power_ceiling < 0.2
    assert any("against itself" in note for note in result.notes)


@pytest.mark.parametrize("margin", [0.0, -0.1, 1.0, float("nan")])
def test_a_margin_outside_the_range_is_refused(margin):
    with pytest.raises(UsageError, match="margin"):
        run(counted(both=10), margin=margin)


def test_bad_columns_are_refused_by_name():
    with pytest.raises(UsageError, match="'b' occurs more than once"):
        compare_scores(["a", "b", "b"], [1, 1, 1], [1, 1, 1], DecisionRule(margin=0.1))
    with pytest.raises(UsageError, match="score of 'b' is NaN"):
        compare_scores(["a", "b"], [1, float("nan")], [1, 1], DecisionRule(margin=0.1))
    with pytest.raises(UsageError, match="outside 0 to 1"):
        compare_scores(["a", "b"], [1, 3], [1, 1], DecisionRule(margin=0.1))
    with pytest.raises(UsageError, match="not pairs"):
        compare_scores(["a", "b"], [1], [1, 1], DecisionRule(margin=0.1))


def test_a_result_becomes_a_comparison_and_survives_json():
    result = run(counted(both=90, wins=4, losses=6), slices={"x": ["1"] * 100})
    comparison = Comparison.of(result, id="c", task="intents", incumbent="a", candidate="b", notes=("first",))
    again = msgspec.json.decode(msgspec.json.encode(comparison), type=Comparison)
    assert again == comparison
    assert again.notes[0] == "first"
    assert again.ci_low == result.ci_low


def test_large_clusters_allow_for_clumps_not_seen_yet():
    pairs = counted(both=950, wins=20, losses=30)
    rows = [pairs[(37 * i) % 1000] for i in range(1000)]
    small = run(rows, clusters=[str(i // 4) for i in range(1000)])
    large = run(rows, clusters=[str(i // 20) for i in range(1000)])
    assert small.ci_low == min(
        limits[0] for name, limits in small.intervals.items() if name != "unseen_clumps"
    )
    assert large.ci_low == large.intervals["unseen_clumps"][0]
    assert large.ci_low < large.intervals["tango_effective_n"][0]


def test_needed_n_is_never_below_what_a_promote_needs():
    result = run([(0.5, 0.5 + 0.001 * (i % 3)) for i in range(12)], margin=0.1)
    assert result.verdict == "hold"
    assert result.needed_n == 30
