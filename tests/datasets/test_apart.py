import pytest

from freehold.datasets.apart import KnownQuestions
from freehold.types.dataset import Message, Sample


def asked(*texts):
    return [Sample(id=text, messages=(Message(role="user", content=text),)) for text in texts]


KNOWN = asked(
    "my new card has not arrived after two weeks of waiting", "how do I change my pin number at a machine"
)


@pytest.mark.parametrize("threshold", [0.0, 0.8])
def test_the_same_question_is_known_whatever_its_spacing(threshold):
    known = KnownQuestions(KNOWN, threshold)
    new = asked("how do I  change my pin number at a machine", "where is the nearest branch of the bank")
    assert known.repeated_by(new).tolist() == [True, False]


def test_one_word_more_is_nearly_the_same():
    new = asked(
        "my new card has not arrived after two weeks of waiting!!", "I lost my purse with everything in it"
    )
    assert KnownQuestions(KNOWN, 0.8).repeated_by(new).tolist() == [True, False]
    assert KnownQuestions(KNOWN, 0.0).repeated_by(new).tolist() == [False, False]


def test_nothing_known_and_nothing_new():
    assert KnownQuestions([], 0.8).repeated_by(KNOWN).tolist() == [False, False]
    assert KnownQuestions(KNOWN, 0.8).repeated_by([]).tolist() == []
