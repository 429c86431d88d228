import numpy as np
import pytest

from freehold.training.encoder import calibration


def drawn(temperature, count=4000):
    """Logits of which the softmax at `temperature` says exactly how often each label is right."""
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(count, 4)) * 3
    shares = calibration.softmax(logits / temperature)
    return logits, np.array([rng.choice(4, p=row) for row in shares])


@pytest.mark.parametrize("temperature", [0.5, 2.0])
def test_temperature_is_found(temperature):
    logits, right = drawn(temperature)
    assert calibration.temperature_of(logits, right) == pytest.approx(temperature, rel=0.1)


def test_few_samples_that_are_all_right_make_nothing_certain():
    logits = np.eye(3) * 2
    sure = calibration.softmax(logits / calibration.temperature_of(logits, np.arange(3))).max(axis=1)
    assert sure.max() < 0.95


def test_labels_never_taught_are_left_out():
    logits, right = drawn(2.0)
    some = right.copy()
    some[::2] = -1
    assert calibration.temperature_of(logits, some) == pytest.approx(2.0, rel=0.15)


def test_temperature_of_yes_and_no():
    rng = np.random.default_rng(1)
    logits = rng.normal(size=(3000, 2)) * 4
    right = rng.random(logits.shape) < calibration.sigmoid(logits / 2)
    assert calibration.temperature_of_several(logits, right) == pytest.approx(2, rel=0.1)


def test_calibration_error():
    sure, right = np.array([0.9, 0.9, 0.6, 0.6]), np.array([True, True, True, False])
    assert calibration.calibration_error(sure, right) == pytest.approx(0.1)
    assert calibration.calibration_error(sure[:0], right[:0]) is None


def test_threshold_that_makes_most_lists_right():
    shares = np.array([[0.3, 0.1], [0.35, 0.6], [0.2, 0.9]])
    right = np.array([[True, False], [True, True], [False, True]])
    threshold = calibration.threshold_of(shares, right)
    assert ((shares >= threshold) == right).all()


def test_least_confidence():
    sure = np.linspace(0, 1, 101)
    assert calibration.least_confidence(sure, 0.05) == pytest.approx(0.05)
    assert calibration.least_confidence(sure, 0) is None
