import pytest

from freehold.types.machine import Speed
from freehold.types.planning.assessment import ModelLimits, Needs
from freehold.workflows.choose.pace import is_doubtful, seconds, speed_reasons

SPEED = Speed(
    prefill_tokens_per_second=(100, 400), decode_tokens_per_second=(10, 40), decode_all_tokens_per_second=(10, 40),
    concurrency=1, how="estimated", basis="",
)  # fmt: skip
NEEDS = Needs(prompt_tokens=400, completion_tokens=40)


def test_seconds_at_both_ends_and_in_the_middle():
    assert [seconds(SPEED, NEEDS, 0), seconds(SPEED, NEEDS), seconds(SPEED, NEEDS, 1)] == [8, 4, 2]
    assert seconds(None, NEEDS) is None


@pytest.mark.parametrize(
    ("limits", "hard", "doubtful"),
    [
        (ModelLimits(least_tokens_per_second=50), [True], True),
        (ModelLimits(least_tokens_per_second=30), [False], True),
        (ModelLimits(least_tokens_per_second=15), [False], False),
        (ModelLimits(least_tokens_per_second=9), [], False),
        (ModelLimits(most_seconds=1), [True], True),
        (ModelLimits(most_seconds=3), [False], True),
        (ModelLimits(most_seconds=5), [False], False),
        (ModelLimits(most_seconds=9), [], False),
        (ModelLimits(), [], False),
    ],
)
def test_only_what_is_too_slow_at_its_best_is_excluded(limits, hard, doubtful):
    assert [one for one, _ in speed_reasons(SPEED, NEEDS, limits)] == hard
    assert is_doubtful(SPEED, NEEDS, limits) == doubtful


def test_a_speed_that_is_not_known_meets_no_limit():
    assert [one for one, _ in speed_reasons(None, NEEDS, ModelLimits(most_seconds=9))] == [True]
    assert list(speed_reasons(None, NEEDS, ModelLimits())) == []
