import re

import pytest

from freehold.report.load_page import chart, render_load
from freehold.types.serving.load import LoadLevel, LoadReport, Quantiles

TIMES = Quantiles(n=9, p50=10.0, p90=15.0, p95=20.0, p99=30.0)


def level(streams, tokens, **changed):
    return LoadLevel(
        **{
            "streams": streams,
            "seconds": 10.0,
            "requests": 9,
            "errors": {},
            "requests_per_second": 0.9,
            "prompt_tokens_per_second": 90.0,
            "completion_tokens_per_second": tokens,
            "ttft_ms": TIMES,
            "inter_token_ms": TIMES,
            "total_ms": TIMES,
            **changed,
        }
    )


def report(*levels, knee=4):
    return LoadReport(
        id="r1",
        at="2026-11-26T08:00:00",
        version="1",
        url="http://127.0.0.1:1",
        model="open <8b>",
        workload="prompts of 100 tokens",
        prompt_tokens=100.0,
        completion_tokens=50.0,
        levels=levels,
        knee_streams=knee,
    )


LEVELS = level(1, 30.0), level(4, 90.0), level(16, 99.5, errors={"status 429": 3, "unreachable": 1})


def test_the_page_says_where_more_streams_only_wait():
    page = render_load(report(*LEVELS))
    assert "4 at once give nine tenths of the best" in page
    assert "open &lt;8b&gt; under load" in page
    assert page.count("<tr><td>") == 3
    assert "99.5" in page
    assert "10 · 20" in page
    assert "3 × status 429" in page
    assert page.count("<svg") == 2
    assert "http" not in re.sub(r"<style>.*?</style>|http://127.0.0.1:1", "", page, flags=re.DOTALL)


def test_a_run_without_answers_is_a_page_too():
    nothing = level(1, 0.0, ttft_ms=Quantiles(n=0), inter_token_ms=Quantiles(n=0), total_ms=Quantiles(n=0))
    page = render_load(report(nothing, knee=None))
    assert "Nothing was answered." in page
    assert "<svg" not in page
    assert page.count("–") >= 3


@pytest.mark.parametrize("knee", [None, 4])
def test_the_line_goes_through_every_level_and_stays_inside(knee):
    svg = chart(LEVELS, lambda one: one.completion_tokens_per_second, "tokens/s", knee)
    points = re.search(r'polyline points="([^"]+)"', svg).group(1).split()
    assert len(points) == 3
    assert all(0 <= float(x) <= 640 and 0 <= float(y) <= 190 for x, y in (one.split(",") for one in points))
    assert ('class="zero"' in svg) is (knee is not None)
    assert 'aria-label="30 tokens/s at 1, 90 tokens/s at 4' in svg


def test_one_point_is_not_a_line():
    assert chart(LEVELS[:1], lambda one: 1.0, "x", None) == ""
    assert chart(LEVELS, lambda one: None if one.streams > 1 else 1.0, "x", None) == ""
