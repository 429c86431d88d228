import numpy as np
import pytest
from tests.stats.cross_checks import ppi_python_mean, rogan_gladen

from freehold.stats import judges
from freehold.stats.judges import JudgeEvidence


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


def test_the_judge_narrows_the_interval_and_the_products_rule_is_wider_than_the_librarys():
    human, judged, rest = sample(100, 1000)
    mine, library = (
        judges.ppi_mean(human, judged, rest),
        ppi_python_mean(human, judged, rest, alpha=0.025),
    )
    alone = judges.ppi_mean(human, judged, rest, lam=0.0)
    assert mine.upper - mine.lower < alone.upper - alone.lower
    assert mine.upper - mine.lower > library.upper - library.lower
    assert 0 < mine.lam <= 1


def test_a_perfect_looking_judge_is_not_believed():
    human, _, rest = sample(50, 500)
    found = judges.ppi_mean(human, human, rest, lam=1.0)
    assert found.upper - found.lower > 2 * 2.0 * (1 - 0.025 ** (1 / 50)) - 1e-9


def test_few_labels_tune_the_weight_by_cross_fitting():
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


def test_rogan_gladen_needs_a_useful_judge():
    found = rogan_gladen(0.82, 0.95, 0.8, n=500, n_sensitivity=80, n_specificity=60)
    assert found.corrected == pytest.approx(0.8266666667)
    assert found.lower < found.corrected < found.upper
    assert rogan_gladen(0.5, 0.6, 0.5).corrected is None
    assert rogan_gladen(0.05, 0.9, 0.9).corrected == 0.0


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


@pytest.mark.parametrize(
    ("judge", "vetoes", "blocks"),
    [
        (JudgeEvidence(), ["judge_uncalibrated"], []),
        (JudgeEvidence(human_labels=60, calibrated_low=-0.01, margin=0.02), [], []),
        (JudgeEvidence(human_labels=60, calibrated_low=-0.05, margin=0.02), ["judge_uncalibrated"], []),
        (
            JudgeEvidence(human_labels=60, calibrated_low=0.0, margin=0.02, checks_agree=False),
            ["judge_uncalibrated"],
            [],
        ),
        (JudgeEvidence(same_family=True), [], ["judge_uncalibrated"]),
        (
            JudgeEvidence(consistency=0.5, human_labels=60, calibrated_low=0.0, margin=0.02),
            [],
            ["judge_inconsistent"],
        ),
    ],
)
def test_what_a_judge_may_decide(judge, vetoes, blocks):
    assert judge.objections() == (vetoes, blocks)
