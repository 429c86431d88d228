"""Pages of a curve of training and of several tasks, and their pictures."""

import re

import pytest
from tests.report import sample_report as sample

from freehold.report.curve_page import render_curve
from freehold.report.pictures import candidates, curve, interval
from freehold.report.selection_rows import SelectionPictureRow
from freehold.types.training import TrainingEvent


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


def run(steps=500, *, again_from=None):
    events = [TrainingEvent(kind="start", steps=steps, message="24 samples")]
    for step in range(1, steps + 1):
        events.append(
            TrainingEvent(kind="step", step=step, steps=steps, loss=2 / step, learning_rate=1e-3 / step,
                          tokens=100 * step, seconds=step / 10, tokens_per_second=1000.0)
        )  # fmt: skip
        if step % 100 == 0:
            events.append(
                TrainingEvent(kind="eval", step=step, steps=steps, loss=1 / step, score=step / 1000)
            )
    return events


def test_the_page_says_how_far_it_is_and_how_good():
    page = render_curve("support <b>", run())
    assert "500 of 500 steps, 50,000 tokens, 50 seconds." in page
    assert "At best 50.0% of the validation split, at step 500." in page
    assert "support &lt;b&gt;" in page
    assert page.count("<svg") == 4
    assert page.count("<circle") == 5 + 5
    assert "http" not in re.sub(r"<style>.*?</style>", "", page, flags=re.DOTALL)
