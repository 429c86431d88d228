import math

import numpy as np
import pytest

from freehold.training import schedule
from freehold.training.formatting import Encoded
from freehold.types.config import FinetuneConfig

CONFIG = FinetuneConfig(batch_size=4, epochs=2, learning_rate=1.0)


def lengths_of(samples):
    return np.random.default_rng(3).integers(3, 60, samples)


@pytest.mark.parametrize("lengths", [None, lengths_of(1010)])
def test_each_epoch_sees_every_sample_once(lengths):
    for epoch in range(2):
        order = schedule.epoch_order(epoch, 1010, CONFIG, lengths)
        assert sorted(order.tolist()) == list(range(1010))


@pytest.mark.parametrize("lengths", [None, lengths_of(100)])
def test_order_follows_the_seed_and_the_epoch(lengths):
    first = schedule.epoch_order(0, 100, CONFIG, lengths).tolist()
    assert first == schedule.epoch_order(0, 100, CONFIG, lengths).tolist()
    assert first != schedule.epoch_order(1, 100, CONFIG, lengths).tolist()
    other = FinetuneConfig(batch_size=4, seed=1)
    assert first != schedule.epoch_order(0, 100, other, lengths).tolist()


def test_batches_are_of_like_length_and_come_in_any_order():
    lengths = lengths_of(1010)
    batches = [
        lengths[schedule.epoch_order(0, 1010, CONFIG, lengths)][at : at + 4] for at in range(0, 1008, 4)
    ]
    padded = sum(4 * int(batch.max()) for batch in batches)
    alone = lengths[schedule.epoch_order(0, 1010, CONFIG)][:1008].reshape(-1, 4).max(axis=1)
    assert padded < 1.05 * lengths.sum() < 0.8 * 4 * int(alone.sum())
    means = [float(batch.mean()) for batch in batches[: schedule.WINDOW]]
    assert means != sorted(means)


@pytest.mark.parametrize(("samples", "epochs", "steps"), [(10, 2, 6), (1, 0.1, 1), (8, 1.5, 3)])
def test_total_steps(samples, epochs, steps):
    assert schedule.total_steps(samples, FinetuneConfig(batch_size=4, epochs=epochs)) == steps


def test_learning_rate_warms_up_and_decays():
    rates = [
        schedule.learning_rate(step, 100, 1.0, schedule.RateCurve(0.1, is_linear=False))
        for step in range(100)
    ]
    assert rates[0] == pytest.approx(0.1)
    assert max(rates) == rates[9] == 1.0
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert rates[55] == pytest.approx(0.5 * (1 + math.cos(math.pi * 45 / 90)))
    assert rates[99] < 0.001
    straight = [schedule.learning_rate(step, 100, 1.0, schedule.LINEAR) for step in range(100)]
    assert straight[:10] == rates[:10] and straight[55] == pytest.approx(0.5)


def test_parts_of_a_batch_hold_all_samples_within_the_limit():
    samples = [Encoded(str(n), (1,) * n, (True,) * n) for n in (5, 9, 3, 20, 7)]
    parts = schedule.split_batch(samples, 16)
    assert sorted(sample.id for part in parts for sample in part) == sorted(sample.id for sample in samples)
    assert all(sum(len(sample.ids) for sample in part) <= 16 or len(part) == 1 for part in parts)
    assert parts == schedule.split_batch(samples[::-1], 16)
