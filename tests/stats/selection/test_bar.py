"""The share that suffices, against the rule it stands in for."""

import numpy as np
import pytest

from freehold.stats.rules import DecisionRule
from freehold.stats.selection import SelectionRule, TriedCandidate, assess, sufficing_share


def rule(held_out=700, margin=0.02):
    return SelectionRule(decision=DecisionRule(margin=margin, alpha=0.025), held_out=held_out)


@pytest.mark.parametrize(("incumbent", "items"), [(0.94, 400), (1.0, 300), (0.6, 200)])
def test_what_has_that_share_right_passes_whichever_items_they_are(incumbent, items):
    share = sufficing_share(rule(margin=0.05), incumbent=incumbent, items=items)
    random = np.random.default_rng(0)
    right = round(share * items)
    theirs = np.arange(items) < round(incumbent * items)
    apart = np.arange(items) >= items - right
    for own in [apart, *(random.permutation(apart) for _ in range(20))]:
        differences = own.astype(float) - theirs
        assert assess(TriedCandidate(name="c", differences=differences), rule(margin=0.05)).passes
    one_less = (np.arange(items) >= items - right + 1).astype(float) - theirs
    assert not assess(TriedCandidate(name="c", differences=one_less), rule(margin=0.05)).passes


def test_where_nothing_can_pass_there_is_no_such_share():
    assert sufficing_share(rule(held_out=20), incumbent=0.9, items=300) is None
    assert sufficing_share(rule(), incumbent=0.9, items=0) is None
    assert sufficing_share(rule(held_out=100, margin=0.001), incumbent=1.0, items=100) is None
