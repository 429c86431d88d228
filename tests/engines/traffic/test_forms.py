"""Made-up forms to measure structured output with."""

import pytest

from freehold.engines.traffic import forms

pytestmark = pytest.mark.anyio


def test_forms_are_the_same_each_time_and_share_their_instructions():
    one, other = forms("extraction", count=8), forms("extraction", count=8)
    assert one == other != forms("extraction", count=8, seed=1)
    systems = {body["messages"][0]["content"] for body in one.bodies}
    assert len(systems) == 1
    assert len({body["messages"][1]["content"] for body in one.bodies}) == 8
    assert forms("classification", count=2).bodies[0]["max_tokens"] < one.bodies[0]["max_tokens"]
