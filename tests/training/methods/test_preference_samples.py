"""Preferences as tokens, and those that are left out."""

import pytest
from tests.training.conftest import (
    make_sample,
)

from freehold.training.formatting import format_samples
from freehold.training.methods.preference_samples import format_judged, format_pairs
from freehold.types.dataset import Message

pytestmark = pytest.mark.timeout(600)


def test_preferences_that_cannot_be_used_are_rejected_with_the_reason(tokenizer):
    same = make_sample(1, "x", "lamp", rejected=(Message(role="assistant", content="lamp"),))
    none, long = (
        make_sample(2, "x", "lamp"),
        make_sample(3, "x", "lamp " * 900, rejected=(Message(role="assistant", content="a"),)),
    )
    found = format_pairs(tokenizer, [same, none, long], max_tokens=200)
    assert [one.code for one in found.rejects] == ["same_answers", "no_pair", "over_long"]
    disliked = make_sample(4, "x", None, incumbent="rug", desirable=False)
    judged = format_judged(tokenizer, [disliked, none], max_tokens=200)
    assert [(one.liked, one.id) for one in judged.samples] == [(False, "s4")]
    assert (
        judged.samples[0].prompt
        == format_samples(tokenizer, [make_sample(5, "x", "y")], max_tokens=200)
        .samples[0]
        .ids[: len(judged.samples[0].prompt)]
    )
    assert [one.code for one in judged.rejects] == ["not_judged"]
