import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from freehold.stats import judges
from freehold.stats.continuous import t_quantile
from freehold.stats.judges import JudgeEvidence, Ppi

CALIBRATED = Ppi(0.5, 0.02, -0.01, 0.05, 0.01, labels=60)


def sample(n, rest, seed=0):
    rng = np.random.default_rng(seed)
    truth = rng.choice([-1.0, 0.0, 1.0], size=n + rest, p=[0.1, 0.75, 0.15])
    judge = np.where(rng.random(n + rest) < 0.85, truth, rng.permutation(truth))
    return truth[:n], judge[:n], judge[n:]


def test_an_order_dependent_judge_shows():
    found = judges.order_swap(["C"] * 12, ["I"] * 12)
    assert found.scores == [0] * 12
    assert (found.consistency, found.first_position_share) == (0.0, 1.0)
    assert found.p_position < 0.001
    fair = judges.order_swap(["C", "I", "T"], ["C", "I", "T"])
    assert (fair.mean, fair.consistency, fair.p_position) == (0.0, 1.0, 1.0)
    assert judges.order_swap([], []).mean is None


def test_a_perfect_looking_judge_is_not_believed():
    human, _, rest = sample(50, 500)
    found = judges.ppi_mean(human, human, rest, lam=1.0)
    unlike = 2.0 * (1 - 0.025 ** (1 / 50))
    assert found.upper - found.lower > 2 * unlike
    assert found.lower >= -1 and found.upper <= 1


def test_labels_that_are_all_alike_are_no_certainty():
    for value in (1.0, 0.0, -1.0):
        found = judges.ppi_mean([value] * 50, [0.0] * 20 + [1.0] * 30, [0.0, 1.0, 1.0] * 100)
        assert found.lam == 0 and found.estimate == value
        assert found.lower == pytest.approx(max(value - 2 * (1 - 0.025 ** (1 / 50)), -1))
        assert found.upper == pytest.approx(min(value + 2 * (1 - 0.025 ** (1 / 50)), 1))


@settings(max_examples=60)
@given(
    st.lists(st.tuples(*[st.sampled_from([-1.0, 0.0, 0.25, 1.0])] * 2), min_size=2, max_size=60),
    st.lists(st.sampled_from([-1.0, 0.0, 0.5, 1.0]), min_size=2, max_size=60),
    st.sampled_from([None, 0.0, 1.0]),
)
def test_a_calibrated_difference_stays_on_the_scale(labelled, rest, lam):
    human, judged = zip(*labelled, strict=True)
    found = judges.ppi_mean(human, judged, rest, lam=lam)
    assert -1 <= found.lower <= found.estimate + 1e-9
    assert found.estimate - 1e-9 <= found.upper <= 1
    mirrored = judges.ppi_mean(*([-value for value in column] for column in (human, judged, rest)), lam=lam)
    assert (mirrored.lower, mirrored.upper) == pytest.approx((-found.upper, -found.lower), abs=1e-9)


def test_far_from_the_ends_the_scale_changes_little():
    human, judged, rest = sample(200, 2000)
    found, t = judges.ppi_mean(human, judged, rest), t_quantile(0.025, 199)
    assert found.lower == pytest.approx(found.estimate - t * found.se, abs=0.01)
    assert found.upper == pytest.approx(found.estimate + t * found.se, abs=0.01)


def test_an_estimate_that_leaves_the_scale_is_that_of_the_labels_alone():
    human, judged, rest = [1.0] * 9 + [0.0], [0.0] * 9 + [-1.0], [1.0, 0.9] * 20
    assert sum(human) / 10 - sum(judged) / 10 + 0.95 > 1
    found = judges.ppi_mean(human, judged, rest, lam=1.0)
    assert (found.lam, found.estimate) == (0.0, 0.9)


def test_rare_losses_move_the_lower_limit_further():
    """Five losses and no win: the mean of so few skews, and a symmetric interval would hide a drop."""
    human, judged, rest = (
        [-1.0] * 5 + [0.0] * 55,
        [-1.0, 0.0, -1.0, 0.0, 0.0] + [0.0] * 55,
        [0.0] * 360 + [-1.0] * 40,
    )
    found = judges.ppi_mean(human, judged, rest)
    assert found.estimate - found.lower > t_quantile(0.025, 59) * found.se * 1.1


def test_labels_tune_the_weight_by_cross_fitting():
    human, judged, rest = sample(30, 300)
    fitted = judges.ppi_mean(human, judged, rest)
    assert 0 <= fitted.lam <= 1
    assert fitted.lower < fitted.estimate < fitted.upper
    assert fitted == judges.ppi_mean(human, judged, rest)


def test_clustered_labels_widen():
    human, judged, rest = sample(60, 600)
    human, judged = np.sort(human), judged[np.argsort(human, kind="stable")]
    codes = np.repeat(np.arange(12), 5)
    wide = judges.ppi_mean(human, judged, rest, codes=(codes, np.repeat(np.arange(120), 5)))
    assert wide.se > judges.ppi_mean(human, judged, rest).se


def test_too_little_to_calibrate_with_is_refused():
    with pytest.raises(ValueError, match="two human labels"):
        judges.ppi_mean([1.0], [1.0], [0.0, 1.0])


def test_length_is_taken_out():
    rng = np.random.default_rng(3)
    ratio = rng.normal(0.5, 0.3, 400)  # the candidate is wordier, and the judge likes that
    scores = np.clip(0.4 * ratio + rng.normal(0, 0.3, 400), -1, 1)
    found = judges.length_controlled(scores, ratio)
    assert found.raw > 0.15
    assert abs(found.estimate) < 0.08
    assert found.lower < 0 < found.upper
    flat = judges.length_controlled(scores, np.zeros(400))
    assert flat.estimate == flat.raw


def test_equal_length_far_from_all_pairs_is_not_told():
    """A line through pairs that all differ a lot in length leaves the scale before it comes to equal length."""
    rng = np.random.default_rng(4)
    ratio = rng.uniform(3.0, 3.4, 60)
    scores = np.where(ratio > 3.2, 1.0, -1.0)
    found = judges.length_controlled(scores, ratio)
    assert (found.estimate, found.lower, found.upper) == (None, None, None)
    near = judges.length_controlled(scores, ratio - 3.2)
    assert -1 <= near.lower <= near.estimate <= near.upper <= 1


@pytest.mark.parametrize(
    ("judge", "vetoes", "blocks"),
    [
        (JudgeEvidence(), ["judge_uncalibrated"], []),
        (JudgeEvidence(human_labels=60, calibrated=CALIBRATED), [], []),
        (JudgeEvidence(human_labels=49, calibrated=CALIBRATED), ["judge_uncalibrated"], []),
        (
            JudgeEvidence(human_labels=60, calibrated=CALIBRATED, checks_agree=False),
            ["judge_uncalibrated"],
            [],
        ),
        (JudgeEvidence(same_family=True), [], ["judge_uncalibrated"]),
        (
            JudgeEvidence(consistency=0.5, human_labels=60, calibrated=CALIBRATED),
            [],
            ["judge_inconsistent"],
        ),
    ],
)
def test_what_a_judge_may_decide(judge, vetoes, blocks):
    assert judge.objections() == (vetoes, blocks)


def test_the_judge_narrows_the_interval():
    human, judged, rest = sample(100, 1000)
    mine, alone = judges.ppi_mean(human, judged, rest), judges.ppi_mean(human, judged, rest, lam=0.0)
    assert mine.upper - mine.lower < alone.upper - alone.lower and 0 < mine.lam <= 1
