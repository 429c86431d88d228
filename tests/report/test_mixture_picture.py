import re

import msgspec
import pytest
from tests.report.sample_mixture import mixture, refused

from freehold.report.mixture_picture import best_curve, risk_over_share, shown_points


def test_the_picture_has_band_margin_random_line_and_proof():
    made = mixture()
    drawn = risk_over_share(made, made.curves[0])
    assert drawn.count("<polygon") == 2, "the band of the curve, and that of the random split"
    assert "worst you accept (−3)" in drawn and "random split" in drawn
    assert 'class="interval promote"' in drawn and 'class="dot chosen"' in drawn


def test_everything_lies_inside():
    made = mixture()
    lines = re.findall(r'points="([^"]+)"', risk_over_share(made, made.curves[0]))
    for pair in re.findall(r"(-?[\d.]+),(-?[\d.]+)", " ".join(lines)):
        assert 0 <= float(pair[0]) <= 640 and 0 <= float(pair[1]) <= 320


def test_without_a_look_there_is_no_proof_in_it():
    made = refused()
    drawn = risk_over_share(made, best_curve(made))
    assert "interval" not in re.sub(r'aria-label="[^"]*"', "", drawn)


@pytest.mark.parametrize("made", [mixture(curves=(), best=None)])
def test_nothing_is_drawn_of_no_curve(made):
    assert best_curve(made) is None


def test_an_empty_curve_is_no_picture():
    made = mixture()
    assert risk_over_share(made, msgspec.structs.replace(made.curves[0], points=(), chosen=None)) == ""


def test_the_chosen_point_is_always_shown():
    curve = mixture().curves[0]
    assert curve.points[curve.chosen] in shown_points(curve, 5)
    assert len(shown_points(curve, 5)) <= 6
