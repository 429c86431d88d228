import numpy as np

from freehold.training.encoder.heads import normalized
from freehold.training.encoder.pseudo import spread


def moons(count=120):
    rng = np.random.default_rng(0)
    centers = np.repeat([[1.0, 0, 0], [0, 1.0, 0]], count, axis=0)
    return normalized((centers + rng.normal(scale=0.25, size=centers.shape)).astype("f4"))


def test_answers_spread_to_texts_alike():
    features, right = moons(), np.repeat([0, 1], 120)
    prior = np.full((240, 2), 0.5, dtype="f4")
    made = spread.spread(features, np.array([0, 120]), np.array([0, 1]), prior)
    assert (made.argmax(axis=1) == right).mean() > 0.95
    assert made[0].tolist() == [1, 0], "what is known stays"
    assert np.allclose(made.sum(axis=1), 1, atol=1e-5)


def test_neighbours_are_the_nearest_others():
    features = normalized(np.array([[1, 0], [1, 0.1], [0, 1], [0.1, 1]], dtype="f4"))
    near, alike = spread.neighbours(features, 1)
    assert near.ravel().tolist() == [1, 0, 3, 2]
    assert (alike > 0.99).all()
