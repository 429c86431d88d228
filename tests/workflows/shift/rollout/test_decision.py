"""What the tests of a rollout learn from traces, without a store."""

import random
from datetime import timedelta

import numpy as np
import pytest
from msgspec.structs import replace
from tests.workflows.shift.shifting import LATER, START, begun, mirrored, promoting, trace

from freehold.errors import UsageError
from freehold.store.index import is_error
from freehold.types.deferral import DeferralDecision
from freehold.types.verdict import EvidenceBasis, Reason
from freehold.workflows.shift.rollout import rollout
from freehold.workflows.shift.rollout.decision import (
    PROMOTE_ALPHA,
    Ledger,
    begin,
    look,
    promote_alpha,
    unit_of,
)

LEFT = DeferralDecision(rule_id="r", by="incumbent", why="candidate_slow")
"""The mixture's answer: the incumbent gave it, because the candidate took too long."""


def fresh(**changes):
    return begin(**{"margin": 0.1, "max_p95_ms": None, "errors_below": 0.02, **changes})


def ledger_of(tests, *, requests_per_user=1, window_s=60, failure_window_s=60):
    return Ledger(
        tests, [], requests_per_user=requests_per_user, window_s=window_s, failure_window_s=failure_window_s
    )


def looked(traces, *, max_p95_ms=None, at=None):
    """What the tests say after these traces, their windows over."""
    ledger = ledger_of(fresh(max_p95_ms=max_p95_ms), requests_per_user=5)
    for seq, one in enumerate(traces, 1):
        ledger.take(seq, one)
    ready = ledger.ready(at or START + timedelta(days=1))
    ledger.feed_arms(ready.arms)
    return ledger, look(ledger.tests, ())


def test_errors_of_the_candidate_alarm_and_sticky_users_are_one_observation():
    draw = random.Random(2)
    traces = []
    for number in range(600):
        arm = draw.choice(["candidate", "incumbent"])
        fallback = "500" if arm == "candidate" and draw.random() < 0.3 else None
        traces.append(trace(number, arm=arm, fallback=fallback))
    assert "errors" in looked(traces)[1].alarms
    # The same requests as twenty users' thirty each: so many observations as users, however many requests.
    sticky = [
        trace(number, user=f"u{number % 20}", arm=traces[number % 20].arm, fallback=one.fallback)
        for number, one in enumerate(traces)
    ]
    users = sum(one.arm == "candidate" for one in traces[:20])
    assert looked(sticky)[1].state("errors").units == users > 0


def test_what_the_incumbent_fails_is_no_error_of_the_candidate():
    traces = [trace(n, arm="incumbent", status=503) for n in range(200)]
    seen = looked([*traces, *(trace(n, arm="candidate") for n in range(200, 400))])[1]
    assert seen.alarms == () and seen.state("errors").units == 200 and seen.state("errors").estimate == 0


def test_broken_schemas_and_slow_answers_have_tests_of_their_own():
    draw = random.Random(3)
    arms = [draw.choice(["candidate", "incumbent"]) for _ in range(800)]
    broken = [
        trace(n, arm=arm, fallback="schema" if arm == "candidate" else None) for n, arm in enumerate(arms)
    ]
    assert looked(broken)[1].alarms == ("validity",)
    slow = [trace(n, arm=arm, total_ms=2000.0 if n % 5 == 0 else 100.0) for n, arm in enumerate(arms)]
    assert looked(slow, max_p95_ms=900)[1].alarms == ("latency",)
    assert looked(slow)[1].alarms == ()


def test_a_user_is_one_unit_however_the_share_rises():
    first = [
        trace(1, user="moves", arm="incumbent", share=0.9),
        trace(2, user="stays", arm="candidate", share=0.1),
    ]
    later = [
        trace(3, user="moves", arm="candidate", share=0.5),
        trace(4, user="stays", arm="candidate", share=0.5, status=503),
        trace(5, user="fresh", arm="incumbent", share=0.5),
        trace(6, user="promoted", arm="candidate", share=1.0),
    ]
    ledger, seen = looked([*first, *later])
    units = sorted(ledger.changed.values(), key=lambda one: one.seq)
    assert [(unit.unit, unit.n, unit.errors) for unit in units] == [("stays", 2, 1), ("moves", 1, 0)]
    assert ledger.tests.candidate_units == 2 and seen.state("errors").estimate == 0.25


def test_a_window_enters_once_it_is_full_or_old_and_in_the_order_of_exposure():
    slow_user = [trace(1, user="slow", arm="candidate")]
    quick_user = [trace(n, user="quick", arm="candidate") for n in range(2, 9)]
    ledger, _ = looked([*slow_user, *quick_user], at=START + timedelta(seconds=30))
    assert ledger.tests.errors_back.t == 0 and ledger.waiting() == 2, "who came first is waited for"
    ledger, _ = looked([*slow_user, *quick_user], at=START + timedelta(seconds=65))
    assert ledger.tests.errors_back.t == 2
    assert ledger.changed["arm", "quick"].n == 5, "the first five requests make the value"


def test_half_of_the_limit_is_shown_to_be_below_it_after_some_thousand_users():
    """1,130 and 2,280 in 600 runs; half a point of difference from the incumbent took 20,000 of both arms."""
    draw = np.random.default_rng(5)
    start, users = fresh().errors_forward, []
    for _ in range(100):
        failed = (draw.random(6000) < 0.01).astype(float)
        state, seen = start, 0
        while seen < len(failed) and not state.crossed(promote_alpha(1)):
            state, seen = state.update(failed[seen : seen + 100]), seen + 100
        users.append(seen)
    assert np.quantile(users, 0.5) <= 1500 and np.quantile(users, 0.9) <= 3000
    at_the_limit = (draw.random((100, 5000)) < 0.02).astype(float)
    assert sum(start.update(one).crossed(promote_alpha(1)) for one in at_the_limit) <= 5


def test_ten_restarts_of_a_candidate_at_the_margin_promote_it_as_seldom_as_one():
    """Each at the whole of the 2.5 % let 5 to 7 % through."""
    draw = np.random.default_rng(6)
    start, runs = fresh(margin=0.03).quality_forward, 600
    divided = whole = 0
    for _ in range(runs):
        d = draw.choice([-1.0, 0.0, 1.0], p=[0.05, 0.93, 0.02], size=(10, 1000))
        states = [start.update(one) for one in d]
        divided += any(one.crossed(promote_alpha(n)) for n, one in enumerate(states, 1))
        whole += any(one.crossed(PROMOTE_ALPHA) for one in states)
    noise = 2 * (PROMOTE_ALPHA * (1 - PROMOTE_ALPHA) / runs) ** 0.5
    assert divided / runs <= PROMOTE_ALPHA + noise < whole / runs
    assert sum(map(promote_alpha, range(1, 10_000))) == pytest.approx(PROMOTE_ALPHA, rel=1e-3)


def test_a_row_of_failures_need_not_wait_for_a_test():
    ups = [trace(n) for n in range(200)]
    down = [trace(200 + n, arm="candidate", share=0.01, status=502) for n in range(6)]
    assert "in a row" in looked([*ups, *down])[1].broken_off
    mixed = [trace(n, arm="candidate", share=0.01, status=502 if n % 3 else 200) for n in range(200)]
    assert looked(mixed)[1].broken_off is None


def test_equal_arms_raise_no_alarm_however_often_one_looks():
    draw = random.Random(4)
    alarms = 0
    for _ in range(10):
        ledger = ledger_of(begin(margin=0.1, max_p95_ms=900, errors_below=0.02))
        seen = []
        for n in range(150):
            arm = draw.choice(["candidate", "incumbent"])
            fallback = "500" if draw.random() < 0.02 else None
            ledger.take(n + 1, trace(n, arm=arm, fallback=fallback))
            ledger.feed_arms(ledger.ready(START).arms)
            if n % 50 == 49:
                seen.append(bool(look(ledger.tests, ()).alarms))
        alarms += any(seen)
    assert alarms == 0


@pytest.mark.parametrize(
    ("changes", "failed"),
    [
        ({}, False),
        ({"status": 404}, False),
        ({"status": 503}, True),
        ({"completeness": "upstream_cut"}, True),
        ({"completeness": "client_gone"}, False),
        ({"fallback": "timeout"}, True),
        ({"fallback": "schema"}, False),
        ({"fallback": "context"}, False),
        ({"fallback": "timeout", "deferral": LEFT}, False),
        ({"status": 503, "fallback": "timeout", "deferral": LEFT}, True),
    ],
)
def test_an_error_is_a_failure_of_the_arm_and_not_of_the_client(changes, failed):
    assert is_error(trace(1, **changes)) is failed


def test_the_unit_is_the_most_lasting_name_a_trace_has():
    one = replace(trace(1, conversation_id="talk"), user="ada")
    for field, name in (("assignment_key", "user-1"), ("conversation_id", "talk"), ("user", "ada")):
        assert unit_of(one) == name
        one = replace(one, **{field: None})
    assert unit_of(one) == one.id


def test_what_mirrored_pairs_say_is_their_mean_and_a_window_without_a_score_is_counted():
    ledger = ledger_of(fresh())
    for seq, user in enumerate(("ada", "bob", "eve"), 1):
        ledger.take(seq, trace(seq, user=user, arm="candidate", parent_id="own"))
    windows = ledger.ready(LATER).pairs
    ledger.feed_pairs(windows, [-1.0, 0.0, None])
    seen = look(ledger.tests, [-1.0, 0.0], waiting=ledger.waiting())
    assert (seen.pairs, seen.unscored, seen.waiting) == (2, 1, 0)
    assert seen.state("quality").estimate == -0.5 and seen.lowest_effect < -0.5
    assert [window.value for window in ledger.changed.values()] == [-1.0, 0.0, None]


def test_errors_are_judged_long_before_quality_is():
    ledger = ledger_of(fresh(), requests_per_user=5, window_s=120, failure_window_s=10)
    own, mirror = trace(1, share=1.0), trace(1, arm="candidate", parent_id="x")
    ledger.take(1, own)
    ledger.take(2, mirror)
    ledger.take(3, trace(2, arm="candidate", share=0.5))
    ready = ledger.ready(START + timedelta(seconds=15))
    assert len(ready.arms) == 1 and not ready.pairs
    assert len(ledger.ready(START + timedelta(seconds=130)).pairs) == 1


def test_a_candidate_that_fails_all_that_is_mirrored_breaks_off_within_twenty_pairs():
    ledger = ledger_of(fresh(), requests_per_user=5, window_s=120, failure_window_s=10)
    for number in range(20):
        ledger.take(number + 1, trace(number, arm="candidate", parent_id="x", status=503))
    assert "errors of the candidate in a row" in look(ledger.tests, ()).broken_off


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
