import pytest

from freehold.evals.turns.overlap import overlap


@pytest.mark.parametrize(
    ("answer", "reference", "value"),
    [
        ("The parcel left.", "the PARCEL left", 1.0),
        ("a b c d", "a b", 2 / 3),
        ("one", "two", 0.0),
        ("!!", "!!", 1.0),
        ("!!", "??", 0.0),
        ("a a", "a", 2 / 3),
        ("你好", "你们", 0.5),
    ],
)
def test_words_in_common(answer, reference, value):
    assert overlap(answer, reference) == pytest.approx(value)
