"""A run as a page: what it shows is what the events say."""

import re

import pytest

from freehold.report.curve_page import Point, curve, render_curve, smoothed, thinned
from freehold.types.training import TrainingEvent


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


def test_steps_done_again_after_a_kill_count_once():
    events = run(20)
    resumed = [*events, TrainingEvent(kind="step", step=20, steps=20, loss=9.0, tokens=7, seconds=1.0)]
    assert "20 of 20 steps, 7 tokens" in render_curve("x", resumed)


@pytest.mark.parametrize("events", [[], [TrainingEvent(kind="start")], run(1)])
def test_a_run_without_a_curve_is_a_page_too(events):
    page = render_curve("x", events)
    assert "</html>" in page
    assert "<svg" not in page


def test_many_points_become_few_and_keep_their_mean():
    points = [Point(step, float(step % 10)) for step in range(1, 10_001)]
    few = smoothed(points)
    assert len(few) <= 240
    assert sum(one.value for one in few) / len(few) == pytest.approx(4.5, abs=0.01)
    assert thinned(points)[-1] == points[-1]
    assert curve([Point(1, 1.0)], unit="x", digits=1) == ""
