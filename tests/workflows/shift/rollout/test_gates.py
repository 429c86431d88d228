from datetime import timedelta

import pytest
from tests.workflows.shift.shifting import START, begun, mirrored, promoting

from freehold.errors import UsageError
from freehold.types.verdict import EvidenceBasis, Reason
from freehold.workflows.shift.rollout import rollout

WITHOUT_PROOF = {"users", "hours", "harm", "quality", "errors", "validity"}
"""All gates but those of the offline verdict."""


def test_a_rollout_without_a_verdict_mirrors_and_goes_no_further_until_there_is_one(store):
    """It reached half of the traffic: the verdict was asked for at promotion only."""
    begun(store, stages=(0.1,))
    day = START + timedelta(hours=25)
    for outcome in (None, "hold", "reject"):
        if outcome is not None:
            store.put(promoting(id=outcome, outcome=outcome))
        for step in (rollout.advance, rollout.promote):
            with pytest.raises(UsageError, match="no offline verdict says promote"):
                step(store, "support", who="ada", at=day, without=WITHOUT_PROOF)
    assert store.routes()[0].state == "shadow"
    store.put(promoting())
    moved = rollout.advance(store, "support", who="ada", at=day, without=WITHOUT_PROOF)
    assert moved.rollout.state == "canary" and moved.rollout.verdict_id == "v1"
    assert store.route_history("support")[-1].verdict_id == "v1"


def test_a_verdict_that_is_missing_may_be_left_out_by_name_and_the_history_says_so(store):
    begun(store, stages=(0.1,))
    day = START + timedelta(hours=25)
    rollout.advance(store, "support", who="ada", at=day, without={"verdict", *WITHOUT_PROOF})
    assert "verdict" in store.route_history("support")[-1].why
    with pytest.raises(UsageError, match="no offline verdict says promote"):
        rollout.promote(store, "support", who="ada", at=day, without=WITHOUT_PROOF)
    forced = rollout.promote(store, "support", who="ada", at=day, without=rollout.GATES)
    assert forced.rollout.state == "promoted" and "forced" in store.route_history("support")[-1].why


def test_a_step_needs_a_verdict_on_what_the_route_asks(store):
    """The last verdict counted whatever it was on: another model at another endpoint was promoted by it."""
    store.put(promoting(candidate="another"))
    begun(store, stages=(0.1,))
    with pytest.raises(UsageError, match="the verdict is on another, and the route's candidate is base:ft"):
        rollout.advance(store, "support", who="ada", at=START + timedelta(hours=25), without=WITHOUT_PROOF)


@pytest.mark.parametrize(
    ("endpoint", "prompt", "refused"),
    [("house", "p1", True), ("house", "as asked", False), ("local", "p1", False)],
)
def test_a_prompt_that_was_proven_must_be_put_before_requests(store, endpoint, prompt, refused):
    """Another endpoint is asked without it: the bare model was promoted by the proof of the prompted one."""
    evidence = EvidenceBasis(parts={"prompt": prompt}, made_at={"quality": START})
    store.put(promoting(evidence=evidence))
    begun(store, endpoint=endpoint)
    missing = rollout.status(store, "support", at=START + timedelta(hours=60)).missing
    assert any("the route asks house without" in one for one in missing) is refused


@pytest.mark.parametrize(
    ("codes", "missing"), [(("fits",), True), (("fits", "parity_ok"), False), ((), False)]
)
def test_what_is_served_here_must_have_been_compared_with_what_was_trained(store, codes, missing):
    store.put(promoting(reasons=tuple(Reason(code=code, text=code) for code in codes)))
    begun(store)
    found = rollout.status(store, "support", at=START + timedelta(hours=60)).missing
    assert any("was not compared with the trained one" in one for one in found) is missing


@pytest.mark.parametrize(
    ("days", "changed", "why"),
    [
        (1, {}, None),
        (91, {}, "it is 92 days old, and holds for 90"),
        (1, {"task": "another"}, "what counts as right was changed"),
        (1, None, "is not known"),
    ],
)
def test_stale_evidence_moves_no_traffic_unless_it_is_said(store, days, changed, why):
    evidence = None
    if changed is not None:
        made = {"quality": START - timedelta(days=days)}
        evidence = EvidenceBasis(parts=changed, made_at=made)
    store.put(promoting(evidence=evidence))
    begun(store)
    for number in range(200):
        store.add_traces(mirrored(number))
    day = START + timedelta(hours=25)
    if why is None:
        assert rollout.advance(store, "support", who="ada", at=day).rollout.state == "canary"
        return
    with pytest.raises(UsageError, match=why) as refused:
        rollout.advance(store, "support", who="ada", at=day)
    assert "freehold migrate renews it" in refused.value.message
    assert store.routes()[0].state == "shadow"
    rollout.advance(store, "support", who="ada", at=day, without=("evidence",))
    assert store.route_history("support")[-1].why.endswith("without evidence")
