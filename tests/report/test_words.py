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


def test_what_holds_a_candidate_whose_interval_is_within_the_margin_is_said():
    """A further look, too few items, a harmed slice: the drop was called "neither shown nor ruled out"."""
    held = sample.comparison(verdict="hold", reasons=("repeated_look",), ci_low=-0.01, margin=0.02)
    candidate = sample.candidate(comparison=held)
    text = words.sentence(sample.report(candidate), candidate)
    assert "within the 2 points you accept, but proves nothing: these items were looked at before" in text
    assert "ruled out" not in text


@pytest.mark.parametrize(
    ("value", "text"), [(None, "not known"), (0.00001, "below 0.0001"), (0.0312, "0.0312")]
)
def test_a_p_value_is_never_zero(value, text):
    assert words.probability(value) == text


def test_durations():
    assert [words.seconds(x) for x in (0.44, 12, 244, 7300)] == ["0.4 s", "12 s", "4 min 04 s", "2 h 1 min"]
