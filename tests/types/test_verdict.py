import pytest

from freehold.types.verdict import Verdict


@pytest.mark.parametrize(("outcome", "code"), [("promote", 0), ("reject", 1), ("hold", 3)])
def test_exit_codes_of_outcomes(outcome, code):
    assert Verdict(id="v", outcome=outcome, candidate="a", incumbent="b", reasons=()).exit_code == code
