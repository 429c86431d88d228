import random

import numpy as np
import pytest

from freehold.deferring import learning
from freehold.deferring.learning import learn_router
from freehold.deferring.router import Router
from freehold.errors import UsageError

EASY = ("where is my card", "my card has not come", "when does the card arrive", "card delivery status")
HARD = (
    "compare both loans over ten years",
    "explain this clause",
    "why does the rate differ",
    "what does the law say",
)


def requests(n, seed=0):
    rng = random.Random(seed)
    texts, good = [], []
    for number in range(n):
        easy = rng.random() < 0.6
        texts.append(f"{rng.choice(EASY if easy else HARD)} {rng.choice('abcdef')}{number % 7}")
        good.append(easy if rng.random() < 0.95 else not easy)
    return texts, good


def test_a_router_learns_which_requests_the_candidate_is_good_at():
    texts, good = requests(300)
    router = Router.of(learn_router(texts, good).file)
    assert router.score_text("where is the card of mine") > 0.75
    assert router.score_text("explain what the law says of loans") < 0.3
    assert (router.head.samples, router.head.version) == (300, 1)


def test_the_same_samples_give_the_same_router():
    texts, good = requests(80)
    assert learn_router(texts, good).file == learn_router(texts, good).file


def test_what_is_executed_is_what_was_learned():
    texts, good = requests(120)
    router = Router.of(learn_router(texts, good).file)
    scores = np.array([router.score_text(text) for text in texts])
    assert np.mean((scores > 0.5) == np.array(good)) > 0.9


def test_cross_fitted_scores_never_saw_their_own_group():
    """Good at random: a router that saw a sample's own text would know it by heart, one that did not knows nothing."""
    rng = random.Random(3)
    words = ["".join(rng.choices("abcdefghijklmnopqrstuvwxyz", k=8)) for _ in range(200)]
    # Each text stands twice, with the same end, in one group.
    ends = [rng.random() < 0.5 for _ in words]
    texts, good = [word for word in words for _ in (0, 1)], [end for end in ends for _ in (0, 1)]
    groups = [word for word in words for _ in (0, 1)]
    kept_apart = learn_router(texts, good, groups=groups).scores
    torn = learn_router(texts, good).scores
    assert abs(np.mean((kept_apart > 0.5) == np.array(good)) - 0.5) < 0.12
    assert np.mean((torn > 0.5) == np.array(good)) > 0.75


def test_samples_of_one_kind_are_refused_in_words():
    with pytest.raises(UsageError, match="all 3 of the candidate's answers are as good as"):
        learn_router(["a", "b", "c"], [True] * 3)
    with pytest.raises(UsageError, match="worse than"):
        learn_router(["a", "b"], [False] * 2)
    with pytest.raises(UsageError):
        learn_router([], [])


def test_few_samples_with_one_of_a_kind_are_learned_from_without_a_crash():
    texts = [f"request {number}" for number in range(12)]
    good = [number != 3 for number in range(12)]
    assert len(learn_router(texts, good).scores) == 12
    assert 0 < Router.of(learn_router(texts, good).file).score_text("request 3") < 1


@pytest.mark.parametrize("penalty", [0.1, 3.0])
def test_the_shorter_way_finds_the_same_weights(penalty, monkeypatch):
    """Twice the same text among them: its products with the other rows are no help in telling it apart."""
    texts, good = requests(60)
    columns, right = learning._columns([*texts, texts[0]]), np.array([*good, not good[0]], dtype=float)
    short, at = learning.fitted(columns, right, penalty)
    monkeypatch.setattr(learning, "_MOST_COORDINATES", 0)
    whole, there = learning.fitted(columns, right, penalty)
    assert np.abs(short - whole).max() < 1e-6 and at == pytest.approx(there, abs=1e-6)
