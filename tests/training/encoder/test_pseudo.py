"""Heads against an incumbent's answers, on embeddings made up here."""

import numpy as np

from freehold.encoders.runner import unit_length
from freehold.training.encoder import pseudo
from freehold.types.encoder import FieldHead

LABELS = ("a", "b", "c")
FIELD = FieldHead(name="", kind="one", labels=LABELS)


def clouds(count, *, right, wrong_every, seed=0):
    """`count` points around three corners; of those without a right answer every `wrong_every`-th has another label."""
    random = np.random.default_rng(seed)
    truth = np.arange(count) % 3
    rows = unit_length((np.eye(3)[truth] + random.normal(0, 0.25, (count, 3))).astype("f4"))
    known = np.arange(count) < right
    said = np.where(~known & (np.arange(count) % wrong_every == 0), (truth + 1) % 3, truth)
    return pseudo.LabelledRows(rows, said.astype(np.intp), known), truth


def test_answers_that_heads_contradict_are_doubted():
    taught, truth = clouds(400, right=60, wrong_every=5)
    doubted = pseudo.doubts(FIELD, taught)
    wrong = taught.places != truth
    assert not doubted[taught.right].any(), "what is known to be right is never doubted"
    assert doubted[wrong].mean() > 0.8
    assert doubted[~wrong].mean() < 0.05


def moons(count=120):
    rng = np.random.default_rng(0)
    centers = np.repeat([[1.0, 0, 0], [0, 1.0, 0]], count, axis=0)
    return unit_length((centers + rng.normal(scale=0.25, size=centers.shape)).astype("f4"))


def test_answers_spread_to_texts_alike():
    features, right = moons(), np.repeat([0, 1], 120)
    prior = np.full((240, 2), 0.5, dtype="f4")
    made = pseudo.spread(features, np.array([0, 120]), np.array([0, 1]), prior)
    assert (made.argmax(axis=1) == right).mean() > 0.95
    assert made[0].tolist() == [1, 0], "what is known stays"
    assert np.allclose(made.sum(axis=1), 1, atol=1e-5)


def test_neighbours_are_the_nearest_others():
    features = unit_length(np.array([[1, 0], [1, 0.1], [0, 1], [0.1, 1]], dtype="f4"))
    near, alike = pseudo.neighbours(features, 1)
    assert near.ravel().tolist() == [1, 0, 3, 2]
    assert (alike > 0.99).all()
