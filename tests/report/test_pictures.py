"""The pictures of the report: they stay inside, and say what is proven."""

import re
from decimal import Decimal

import pytest
from tests.report import sample_report as sample
from tests.report.sample_mixture import mixture

from freehold.report.first_screen import SelectionPictureRow
from freehold.report.pictures import candidates, curve, interval, mixture_figures, risk_over_share
from freehold.types.mixture import MixtureCost


def test_pictures_of_extremes_stay_inside():
    for low, middle, high in ((-1.0, -0.9, -0.5), (0.0, 0.0, 0.0), (0.2, 0.5, 0.9), (-0.0001, 0, 0.0001)):
        svg = interval(sample.comparison(ci_low=low, difference=middle, ci_high=high))
        assert all(-1 <= float(x) <= 641 for x in re.findall(r'(?:x1|x2|cx)="([-\d.]+)"', svg))
    assert curve([(1, 0.5)]) == ""
    assert "polyline" in curve([(0, 0.0), (1, 0.0)])


@pytest.mark.parametrize(
    ("verdict", "said"), [("promote", "proven"), ("hold", "measured"), ("reject", "measured")]
)
def test_only_what_was_promoted_is_called_proven(verdict, said):
    row = SelectionPictureRow("org/one", "proof", -0.05, -0.02, 0.01, verdict=verdict)
    assert f"org/one, {said} on held-out samples" in candidates([row], 0.03)


def test_the_picture_has_band_margin_random_line_and_proof():
    made = mixture()
    drawn = risk_over_share(made, made.curves[0])
    assert drawn.count("<polygon") == 1, "the band of the curve"
    assert "worst you accept" in drawn and ">−3.0<" in drawn and "random split" in drawn
    assert drawn.count('class="interval promote"') == 21, "every share that was tested"
    assert drawn.count('class="dot promote"') == 1


def test_everything_lies_inside():
    made = mixture()
    lines = re.findall(r'points="([^"]+)"', risk_over_share(made, made.curves[0]))
    for pair in re.findall(r"(-?[\d.]+),(-?[\d.]+)", " ".join(lines)):
        assert 0 <= float(pair[0]) <= 640 and 0 <= float(pair[1]) <= 320


def test_figures_have_dollars_and_the_date_and_say_what_is_not_known():
    told = dict(mixture_figures(mixture()))
    assert told["mixture"] == "$1.27 per 1,000 requests" and told["saved a month"] == "$123.40"
    assert told["answered here"] == "50.0%, between 46.0% and 54.0%"
    assert told["incumbent until"] == "2027-03-01"
    uncounted = MixtureCost(incumbent_usd=Decimal("2.5"), mixture_usd=Decimal("1.27"))
    assert dict(mixture_figures(mixture(cost=uncounted)))["saved a month"] == "not known"


def test_what_open_models_alone_answer_is_said():
    told = dict(mixture_figures(mixture()))["open models alone"]
    assert "not known" in told and "[defer] upper" in told
    made = mixture(upper="house/qwen")
    assert dict(mixture_figures(made))["open models alone"] == (
        "all requests: 50.0% by the candidate, 50.0% by house/qwen"
    )
    assert "rented-1 is not needed" in made.sentence
    lost = mixture(upper="house/qwen", losses=100)
    assert "none is proven" in dict(mixture_figures(lost))["open models alone"]
