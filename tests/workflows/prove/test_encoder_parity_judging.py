"""Two sides of the same messages: equal, or not and why."""

import msgspec
import pytest

from freehold.types.dataset import Sample
from freehold.types.encoder import EncoderManifest, FieldHead
from freehold.types.gates import EncoderReference
from freehold.workflows.prove.encoder_parity import compare, summarize

FIELDS = (FieldHead(name="a", kind="one", labels=("x", "y")), FieldHead(name="b", kind="one", labels=(1, 2)))
MANIFEST = EncoderManifest(base_model="b", base_sha256="0", width=2, answer="json", fields=FIELDS)
TRAINED = EncoderReference(
    sample=Sample(id="s", messages=()), tokens=7, answer='{"a": "x", "b": 1}', probability=0.72
)


def item(**changes):
    return compare(MANIFEST, msgspec.structs.replace(TRAINED, **changes), TRAINED)


def report(*items):
    return summarize(items, model="m", adapter_id="e")


def test_equal_sides_pass_and_say_how_near_they_are():
    made = report(item(), item(probability=0.7211))
    assert made.passed and made.token_agreement == 1 and made.tokens == 4
    assert made.probability_distance == pytest.approx(0.0011)
    result = made.check_result()
    assert result.ok and "100.0% of 4 values in 2 answers agree, probabilities within 0.0011" in result.text


def test_other_tokens_are_the_root():
    made = report(item(), item(tokens=9, probability=0.1))
    assert made.causes == ("template",) and "1 of 2 messages" in made.reasons[0]
    assert "7 tokens trained, 9 tokens served" in made.reasons[0]
    assert not made.check_result().ok


@pytest.mark.parametrize(
    "changes",
    [
        {"probability": 0.6},
        {"answer": '{"a": "y", "b": 1}'},
        {"answer": "nonsense"},
        {"answer": "[1]"},
    ],
)
def test_other_numbers_fail(changes):
    made = report(*[item() for _ in range(20)], item(**changes))
    assert made.causes == ("numbers",) and not made.passed


def test_one_near_tie_in_two_hundred_is_rounding():
    made = report(*[item() for _ in range(200)], item(answer='{"a": "y", "b": 1}', probability=0.721))
    assert made.passed and made.token_agreement < 1


def test_nothing_compared_is_not_a_pass():
    assert not report().passed
