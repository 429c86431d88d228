import numpy as np
import pytest

from freehold.deferring.combination import answer_parts, combined
from freehold.deferring.combining import Answers, cross_fitted, train_combination
from freehold.errors import UsageError
from freehold.stats.deferral import auroc

LABELS = ("refund", "lamp", "sofa")
PARTS = {label: answer_parts(label) for label in LABELS}


def told(n=600, seed=0):
    """Answers whose label matters as much as their probability, and a margin that says more."""
    rng = np.random.default_rng(seed)
    labels = rng.choice(LABELS, n)
    probability, margin = rng.uniform(0.05, 0.95, n), rng.random(n)
    hard = np.where(labels == "sofa", 2.5, 0.0)
    odds = np.log(probability / (1 - probability)) + 3 * (margin - 0.5) + 1 - hard
    good = rng.random(n) < 1 / (1 + np.exp(-odds))
    return Answers({"probability": probability, "margin": margin}, [PARTS[one] for one in labels]), good


def test_what_is_joined_tells_more_than_each_alone():
    answers, good = told()
    joined = cross_fitted(answers, good.tolist())
    assert auroc(joined, good) > auroc(answers.signals["probability"], good) + 0.05
    made = train_combination(answers, good.tolist())
    assert made.signals == ("margin", "probability") and made.samples == 600 and made.problem is None
    assert made.answers[PARTS["sofa"][0]] < min(made.answers[PARTS[one][0]] for one in ("refund", "lamp"))


def test_a_new_answer_is_scored_as_the_fit_does_it():
    answers, good = told()
    made = train_combination(answers, good.tolist())
    fresh, known = told(2000, seed=1)
    raw = [
        combined(made, {name: column[row] for name, column in fresh.signals.items()}, fresh.parts[row])
        for row in range(2000)
    ]
    assert auroc(np.array(raw), known) == pytest.approx(
        auroc(cross_fitted(answers, good.tolist()), good), abs=0.04
    )


def test_no_answer_is_scored_by_what_saw_it_nor_its_group():
    random = np.random.default_rng(3)
    groups = [str(one) for one in np.repeat(np.arange(200), 3)]
    good = np.repeat(random.random(200) < 0.5, 3)
    own = [(f"{group}",) for group in groups]  # each group says what only it says
    answers = Answers({"probability": random.random(600)}, own)
    assert auroc(cross_fitted(answers, good.tolist(), groups=groups), good) == pytest.approx(0.5, abs=0.08)


def test_what_many_answers_lack_is_not_joined_and_one_that_lacks_it_has_none():
    answers, good = told()
    few = np.where(np.arange(600) % 2 == 0, 0.5, np.nan)
    some = answers.signals["margin"].copy()
    some[:5] = np.nan
    both = Answers({**answers.signals, "margin": some, "mean_logprob": few}, answers.parts)
    assert train_combination(both, good.tolist()).signals == ("margin", "probability")
    assert np.isnan(cross_fitted(both, good.tolist())).tolist() == [row < 5 for row in range(600)]


@pytest.mark.parametrize("parts", [[()] * 60, [(str(row),) for row in range(60)]])
def test_one_signal_and_answers_that_are_never_given_again_are_not_joined(parts):
    good = [row % 2 == 0 for row in range(60)]
    with pytest.raises(UsageError, match="nothing can be joined"):
        train_combination(Answers({"probability": np.linspace(0.1, 0.9, 60)}, parts), good)


def test_answers_that_are_all_good_tell_nothing():
    answers, good = told(60)
    with pytest.raises(UsageError, match="all 60 of the candidate's answers are as good as"):
        cross_fitted(answers, [True] * len(good))
