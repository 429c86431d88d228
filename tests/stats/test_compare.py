import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.stats.conftest import counted, run

from freehold.errors import UsageError
from freehold.stats.compare import compare_scores
from freehold.stats.rules import DecisionRule
from freehold.types.evaluation import Comparison
from freehold.verdict.reasons import noted

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


def test_total_agreement_is_not_proof_at_twenty_but_is_at_a_thousand():
    small, large = run(counted(both=20), margin=0.02), run(counted(both=1000), margin=0.02)
    assert (small.verdict, small.reasons[0]) == ("hold", "interval_spans_margin")
    assert small.ci_low == pytest.approx(-0.161125, abs=1e-5)
    assert small.needed_n is not None
    assert small.needed_n > 100
    assert (large.verdict, large.reasons) == ("promote", ("noninferior",))


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
    rows = [(pair, str(i // 7), str(i)) for i, pair in enumerate(pairs)]
    shuffled = rows[:]
    random.shuffle(shuffled)
    results = []
    for order in (rows, shuffled):
        clusters = [name for _, name, _ in order] if clustered else None
        results.append(run([pair for pair, _, _ in order], clusters=clusters, ids=[id for _, _, id in order]))
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
    assert any("independent units" in note for note in noted(together).notes)
    few = run(counted(both=1000), clusters=[str(i // 100) for i in range(1000)], margin=0.5)
    assert few.verdict == "hold"
    assert "too_few_pairs" in few.reasons


def test_duplicating_rows_within_their_cluster_changes_no_limit():
    rng = np.random.default_rng(8)
    sizes = rng.integers(2, 9, 50)
    clusters = [str(k) for k, size in enumerate(sizes) for _ in range(size)]
    lost = [k for k in range(50) if rng.random() < 0.2]
    pairs = [(1.0, float(int(name) not in lost or rng.random() < 0.3)) for name in clusters]
    once = run(pairs, clusters=clusters, whole_units=True)
    twice = run(pairs * 2, clusters=clusters * 2, whole_units=True)
    assert once.design_effect > 1
    assert once.ci_low == pytest.approx(twice.ci_low, abs=1e-9)
    assert once.ci_high == pytest.approx(twice.ci_high, abs=1e-9)


def test_a_dominating_cluster_cannot_promote():
    result = run(
        counted(both=1000),
        clusters=["big"] * 300 + [str(i) for i in range(700)],
        margin=0.4,
        whole_units=True,
    )
    assert result.verdict == "hold"
    assert "cluster_dominates" in result.reasons


def test_a_margin_the_incumbent_itself_does_not_reach_proves_nothing():
    result = run(counted(both=5, neither=995), margin=0.02)
    assert result.verdict == "hold"
    assert result.reasons[0] == "margin_not_below_incumbent"


def test_nothing_scored_and_almost_nothing_scored_hold():
    assert run([(None, 1.0), (1.0, None)]).reasons == ("no_scored_pairs",)
    tiny = run(counted(both=3))
    assert tiny.verdict == "hold"
    assert "too_few_pairs" in tiny.reasons


def test_input_that_says_little_has_an_outcome_all_the_same():
    ties = [(0.5, 0.5)] * 50
    assert run(ties, margin=0.02).verdict == "hold" and run(ties * 20, margin=0.02).verdict == "promote"
    pairs = counted(both=480, wins=12, losses=8)
    nameless, independent = run(pairs, clusters=[None] * 500), run(pairs)
    assert (nameless.ci_low, nameless.n_groups) == (independent.ci_low, None), (
        "users without ids are a user each"
    )
    assert run(counted(losses=200)).verdict == "reject"
    unscored = run([(None, None)] * 200)
    assert (unscored.verdict, unscored.reasons, unscored.ci_low) == ("hold", ("no_scored_pairs",), None)


def test_a_second_look_cannot_promote():
    assert run(counted(both=1000), looks=2).reasons == ("repeated_look",)


def test_bad_columns_are_refused_by_name():
    with pytest.raises(UsageError, match="'b' occurs more than once"):
        compare_scores(["a", "b", "b"], [1, 1, 1], [1, 1, 1], DecisionRule(margin=0.1))
    with pytest.raises(UsageError, match="score of 'b' is NaN"):
        compare_scores(["a", "b"], [1, float("nan")], [1, 1], DecisionRule(margin=0.1))
    with pytest.raises(UsageError, match="outside 0 to 1"):
        compare_scores(["a", "b"], [1, 3], [1, 1], DecisionRule(margin=0.1))
    with pytest.raises(UsageError, match="not pairs"):
        compare_scores(["a", "b"], [1], [1, 1], DecisionRule(margin=0.1))


@pytest.mark.parametrize("clusters", [None, [str(row // 3) for row in range(100)]])
def test_a_result_becomes_a_comparison_and_survives_json(clusters):
    result = run(counted(both=90, wins=4, losses=6), slices={"x": ["1"] * 100}, clusters=clusters)
    comparison = Comparison.of(result, id="c", task="intents", incumbent="a", candidate="b", notes=("first",))
    again = msgspec.json.decode(msgspec.json.encode(comparison), type=Comparison)
    assert again == comparison
    assert again.notes[0] == "first"
    assert again.ci_low == result.ci_low


@pytest.mark.parametrize("clustered", [False, True])
def test_partial_credit_does_not_hide_failures_too_rare_to_be_seen(clustered):
    """60 items that differ a little on both sides: their t limits exclude 3 points, and a failure of one item in thirty
    would be missing among as many once in six times."""
    d = np.tile([0.1, -0.1, 0.0, 0.0, 0.0], 60)

    def compared(n):
        clusters = [str(place // 2) for place in range(n)] if clustered else None
        x = [0.9] * n
        y = [0.9 + one for one in d[:n].tolist()]
        rule = DecisionRule(margin=0.03)
        return compare_scores([str(place) for place in range(n)], x, y, rule, clusters=clusters)

    few, enough = compared(60), compared(300)
    assert few.ci_low > -0.03
    assert (few.verdict, few.reasons) == ("hold", ("rare_losses_could_hide_harm",))
    assert few.needed_n >= 119 and any("would settle it" in note for note in noted(few).notes)
    assert (enough.verdict, enough.reasons) == ("promote", ("noninferior",))
