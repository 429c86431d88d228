"""The rollouts that a store holds, and what is said of those it does not."""

import pytest
from tests.workflows.shift.shifting import START, begun

from freehold.errors import UsageError
from freehold.workflows.shift import rollout_records
from freehold.workflows.shift.rollout import rollout


def test_a_rollout_is_live_until_it_is_over_and_kept_afterwards(store):
    assert rollout_records.of_route(store, "support") is None and not rollout_records.is_live(
        store, "support"
    )
    started = begun(store)
    assert rollout_records.live(store) == [started] and rollout_records.is_live(store, "support")
    rollout.pause(store, "support", who="ada", at=START)
    assert rollout_records.is_live(store, "support"), "a pause is not the end"
    ended = rollout.rollback(store, "support", who="ada", at=START)
    assert not rollout_records.live(store) and not rollout_records.is_live(store, "support")
    assert rollout_records.find(store, "support") == ended


def test_a_wrong_name_is_told_the_right_ones(store):
    begun(store)
    for wrong in (rollout_records.find, rollout.status, rollout.step):
        with pytest.raises(UsageError) as error:
            wrong(store, "suport")
        assert error.value.hint == "did you mean support?"
    with pytest.raises(UsageError) as error:
        rollout.rollback_route(store, "suport", who="ada", at=START)
    assert error.value.hint == "did you mean support?"
    with pytest.raises(UsageError) as error:
        rollout.rollback_route(store, "mail", who="ada", at=START)
    assert error.value.hint == "routes here: support (--route)"
