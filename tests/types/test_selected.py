import pytest

from freehold.types.selected import CandidateChoice


@pytest.mark.parametrize(
    ("why", "sentence"),
    [
        ("none of 3 candidates has a chance", "None of 3 candidates has a chance."),
        ("org/model · lora is the only candidate", "org/model · lora is the only candidate."),
    ],
)
def test_a_model_keeps_its_spelling_at_the_beginning_of_a_sentence(why, sentence):
    choice = CandidateChoice(
        rule="r", stop="first", split_samples=9, tried=1, selection=None, chosen=None, why=why
    )
    assert choice.sentence == sentence
