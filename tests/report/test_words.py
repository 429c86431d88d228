import pytest
from tests.report import sample_report as sample

from freehold.report import words


@pytest.mark.parametrize("verdict", ["promote", "hold", "reject"])
def test_sentence_follows_the_verdict(verdict):
    candidate = sample.candidate(comparison=sample.comparison(verdict=verdict))
    text = words.sentence(sample.report(candidate), candidate)
    assert {"promote": "rules out", "hold": "neither shown nor ruled out", "reject": "worse by more"}[
        verdict
    ] in text


@pytest.mark.parametrize(
    ("value", "text"), [(None, "not known"), (0.00001, "below 0.0001"), (0.0312, "0.0312")]
)
def test_a_p_value_is_never_zero(value, text):
    assert words.probability(value) == text


def test_durations():
    assert [words.seconds(x) for x in (0.44, 12, 244, 7300)] == ["0.4 s", "12 s", "4 min 04 s", "2 h 1 min"]
