import numpy as np
import pytest

from freehold.errors import UsageError
from freehold.workflows.train.curve import LearnedPoint, fit, foretell, sizes


def points(ceiling, scale, rate, sizes=(125, 250, 500, 1000), asked=100_000):
    return [LearnedPoint(n, round(asked * (ceiling - scale * n**-rate)), asked) for n in sizes]


@pytest.mark.parametrize(("ceiling", "scale", "rate"), [(0.95, 4.0, 0.6), (0.9, 2.0, 0.5), (1.0, 1.0, 0.3)])
def test_a_curve_is_found_again_and_foretells_twice_of_it(ceiling, scale, rate):
    given = points(ceiling, scale, rate)
    curve, twice = fit(given), foretell(given, 2000)
    assert curve.fits
    assert curve.rate == pytest.approx(rate, abs=0.03)
    assert twice.accuracy == pytest.approx(ceiling - scale * 2000**-rate, abs=0.004)
    assert twice.low <= twice.accuracy <= twice.high


def test_the_interval_holds_what_comes_in_nine_of_ten_draws_or_more():
    random, held, truth = np.random.default_rng(7), 0, 0.93 - 3.0 * 2000**-0.5
    for _ in range(60):
        drawn = [
            LearnedPoint(n, int(random.binomial(400, 0.93 - 3.0 * n**-0.5)), 400)
            for n in (125, 250, 500, 1000)
        ]
        twice = foretell(drawn, 2000)
        held += twice.low <= truth <= twice.high
    assert held >= 54


def test_fewer_validation_items_widen_it():
    few, many = (foretell(points(0.95, 4.0, 0.6, asked=asked), 2000) for asked in (100, 10_000))
    assert few.high - few.low > 2 * (many.high - many.low)


def test_the_same_points_foretell_the_same_in_any_order():
    given = points(0.95, 4.0, 0.6, asked=200)
    assert foretell(given, 2000) == foretell(given[::-1], 2000)


def test_a_curve_that_does_not_grow_is_flat():
    given = [LearnedPoint(n, 180, 200) for n in (100, 200, 400)]
    assert fit(given).accuracy(800) == pytest.approx(0.9)


def test_points_off_any_curve_are_told():
    given = [
        LearnedPoint(100, 900, 1000),
        LearnedPoint(200, 300, 1000),
        LearnedPoint(400, 900, 1000),
        LearnedPoint(800, 950, 1000),
    ]
    assert not fit(given).fits


def test_no_curve_through_two_numbers_or_impossible_counts():
    with pytest.raises(UsageError, match="needs 3 different numbers"):
        fit([LearnedPoint(100, 5, 10), LearnedPoint(200, 6, 10), LearnedPoint(200, 7, 10)])
    with pytest.raises(UsageError, match="11 of 10 right"):
        fit([LearnedPoint(100, 11, 10), LearnedPoint(200, 6, 10), LearnedPoint(300, 7, 10)])


@pytest.mark.parametrize(
    ("samples", "answers", "expected"),
    [
        (512, 7, (64, 128, 256, 512)),
        (512, 77, (128, 256, 512)),
        (512, 128, (128, 256, 512)),
        (512, 500, (64, 128, 256, 512)),
        (1024, 77, (128, 256, 512, 1024)),
    ],
)
def test_no_part_is_smaller_than_a_closed_set_of_labels(samples, answers, expected):
    assert sizes(samples, answers) == expected
