"""Pages of costs, load, a curve of training, several tasks, and their pictures."""

import re
from decimal import Decimal

import pytest
from tests.report import sample_report as sample

from freehold.costs import decision, traffic
from freehold.costs.self_host import Rented, self_host
from freehold.report.cost_page import break_even, picture, render_cost
from freehold.report.curve_page import render_curve
from freehold.report.pictures import candidates, curve, interval
from freehold.report.selection_rows import SelectionPictureRow
from freehold.types.cost import Bill, Range
from freehold.types.machine import Speed
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


def both(value):
    return Range(low=Decimal(value), high=Decimal(value))


def cost(requests=1_000_000, per_request="0.002", hour="1"):
    usage = traffic.stated(
        requests_per_month=Decimal(requests), prompt_tokens=Decimal(1000), completion_tokens=Decimal(100)
    )
    speed = Speed(
        prefill_tokens_per_second=(10_000.0, 10_000.0),
        decode_tokens_per_second=(1_000.0, 1_000.0),
        decode_all_tokens_per_second=(1_000.0, 1_000.0),
        concurrency=8,
        how="measured",
        basis="test",
    )
    bill = Bill(
        model="gpt <4>",
        usd_per_request=both(per_request),
        usd_per_month=both(Decimal(per_request) * requests),
        basis="test",
    )
    return decision.decide(usage, bill, self_host("open", "box", usage, speed, Rented(both(hour))))


def test_the_page_gives_the_advice_its_figures_and_its_grounds():
    made = cost()
    page = render_cost(made)
    assert "<h1>Leave</h1>" in page
    assert "bill of gpt &lt;4&gt;</td><td>$2,000 a month" in page
    assert f"<td>{break_even(made)}</td>" in page
    assert all(reason.split(":")[0].replace("<4>", "&lt;4&gt;") in page for reason in made.reasons)
    assert f"Record {made.id}" in page
    assert "http" not in re.sub(r"<style>.*?</style>", "", page, flags=re.DOTALL)


@pytest.mark.parametrize("requests", [1, 1_000_000, 10**9])
def test_everything_drawn_is_inside_the_picture(requests):
    svg = picture(cost(requests=requests))
    points = re.findall(r"(-?[\d.]+),(-?[\d.]+)", " ".join(re.findall(r'points="([^"]+)"', svg)))
    assert len(points) > 40
    assert all(0 <= float(x) <= 640 and 0 <= float(y) <= 300 for x, y in points)
    assert ">you</text>" in svg


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
