import pytest

from freehold.types.dataset import TeacherToken
from freehold.wire.logprobs import teacher_tokens


def test_tokens_come_with_their_alternatives():
    top = [{"token": "a", "logprob": -0.1}, {"token": "b", "logprob": -3}, {"logprob": -4.0}]
    told = {
        "content": [{"token": "a", "logprob": -0.1, "top_logprobs": top}, {"token": "!", "logprob": -0.5}]
    }
    assert teacher_tokens(told) == (
        TeacherToken(text="a", top=(("a", -0.1), ("b", -3.0))),
        TeacherToken(text="!", top=(("!", -0.5),)),
    )


@pytest.mark.parametrize(
    "told", [None, [], {}, {"content": None}, {"content": []}, {"content": [{"logprob": 1}]}]
)
def test_what_holds_none_is_none(told):
    assert teacher_tokens(told) is None
