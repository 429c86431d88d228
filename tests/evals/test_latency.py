import pytest

from freehold.evals.latency import summarize
from freehold.types.evaluation import EvalResult, Score
from freehold.types.trace import Usage


def result(total_ms, ttft_ms=None, usage=None):
    return EvalResult(
        sample_id="s",
        model="m",
        output="x",
        score=Score(value=1.0),
        total_ms=total_ms,
        ttft_ms=ttft_ms,
        usage=usage,
    )


def test_quantiles_are_values_that_were_measured():
    found = summarize([result(float(ms), ms / 2) for ms in range(1, 101)], concurrency=4, wall_seconds=3.0)
    assert (found.n, found.concurrency, found.wall_seconds) == (100, 4, 3.0)
    assert (found.total_p50_ms, found.total_p95_ms) == (50.0, 95.0)
    assert (found.ttft_p50_ms, found.ttft_p95_ms) == (25.0, 47.5)


@pytest.mark.parametrize(("values", "p50", "p95"), [([7.0], 7.0, 7.0), ([1.0, 9.0], 1.0, 9.0)])
def test_few_answers_have_quantiles_too(values, p50, p95):
    found = summarize([result(value) for value in values], concurrency=1)
    assert (found.total_p50_ms, found.total_p95_ms) == (p50, p95)


def test_what_was_not_measured_is_absent():
    found = summarize([result(None), result(5.0)], concurrency=1)
    assert (found.n, found.total_p50_ms, found.ttft_p50_ms, found.prompt_tokens) == (1, 5.0, None, None)


def test_tokens_are_summed_over_the_answers_that_report_them():
    usages = [
        Usage(prompt_tokens=10, completion_tokens=3),
        None,
        Usage(prompt_tokens=5, completion_tokens=None),
    ]
    found = summarize([result(1.0, usage=usage) for usage in usages], concurrency=1)
    assert (found.prompt_tokens, found.completion_tokens) == (15, 3)
