import pytest

from freehold.evals.answers import ChatAnswer


@pytest.mark.parametrize(
    ("answer", "kept"),
    [
        (ChatAnswer(output="x"), True),
        (ChatAnswer(output=""), True),
        (ChatAnswer(fault="candidate", error="cut: at the limit"), True),
        (ChatAnswer(fault="candidate", error="refused_request: 400"), True),
        (ChatAnswer(fault="candidate", error="timeout: no full answer"), False),
        (ChatAnswer(fault="infrastructure", error="http_500: boom"), False),
    ],
)
def test_only_what_asking_again_would_not_change_is_kept(answer, kept):
    assert answer.keepable is kept
