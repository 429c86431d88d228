"""Rollouts over a real store: what the tests see, when they act, who may step forward."""

import json
import random
import threading
from datetime import timedelta

import msgspec
import pytest
from click.testing import CliRunner
from tests.workflows.shift.shifting import LATER, ROUTE, START, begun, mirrored, trace

from freehold.errors import FreeholdError, UsageError
from freehold.store import default_url, open_store, rollouts
from freehold.types.evaluation import Task
from freehold.types.serving.rollout import RolloutTerms
from freehold.types.verdict import Reason, Verdict
from freehold.workflows.shift import rollout_records
from freehold.workflows.shift.rollout import rollout, scoring
from freehold.workflows.shift.rollout.ledger import Ledger, begin, look


def looked(traces, *, max_p95_ms=None, requests_per_user=5, margin=0.1, at=None):
    """What the tests say after these traces, their windows over."""
    ledger = Ledger(
        begin(margin=margin, max_p95_ms=max_p95_ms), [], requests_per_user=requests_per_user, window_s=60
    )
    for seq, one in enumerate(traces, 1):
        ledger.take(seq, one)
    ready = ledger.ready(at or START + timedelta(days=1))
    ledger.feed_arms(ready.arms)
    return ledger, look(ledger.tests, ())


@pytest.fixture
def store(tmp_path):
    with open_store(default_url(tmp_path)) as store:
        yield store


def test_start_mirrors_and_refuses_a_second_rollout(store):
    begun(store)
    assert store.routes()[0].state == "shadow" and store.routes()[0].shadow_share == 1.0
    with pytest.raises(UsageError, match="a rollout of the route support is running"):
        begun(store)
    rollout.rollback(store, "support", who="ada", at=START, why="enough")
    assert store.routes()[0].state == "rolled_back"
    assert store.route_history("support")[-1].why == "enough"
    with pytest.raises(UsageError):
        rollout.start(store, ROUTE, FALLING_STAGES, who="ada", at=START)


FALLING_STAGES = RolloutTerms(
    task=Task(name="support", scorer="exact", margin=0.1), stages=(0.5, 0.1), shadow_share=1.0
)


@pytest.mark.slow
def test_a_good_candidate_goes_through_all_steps(store):
    verdict = Verdict(id="v1", outcome="promote", candidate="c", incumbent="i", reasons=())
    store.put(verdict)
    begun(store)
    for number in range(200):
        store.add_traces(mirrored(number))
    with pytest.raises(UsageError, match="one daily cycle"):
        rollout.advance(store, "support", who="ada", at=START + timedelta(hours=1))
    day = START + timedelta(hours=25)
    moved = rollout.advance(store, "support", who="ada", at=day)
    assert moved.rollout.state == "canary" and store.routes()[0].canary_share == 0.1
    draw = random.Random(1)
    for number in range(200, 3200):
        arm = "candidate" if draw.random() < 0.1 else "incumbent"
        store.add_traces([trace(number, arm=arm, share=0.1 if arm == "candidate" else 0.9)])
    with pytest.raises(UsageError, match="has not been through all its canary shares"):
        rollout.promote(store, "support", who="ada", at=day + timedelta(hours=25))
    rollout.advance(store, "support", who="ada", at=day + timedelta(hours=25))
    for number in range(3200, 6200):
        arm = "candidate" if draw.random() < 0.5 else "incumbent"
        store.add_traces([trace(number, arm=arm, share=0.5)])
    done = rollout.promote(store, "support", who="ada", at=day + timedelta(hours=50))
    assert done.rollout.state == "promoted" and store.routes()[0].state == "promoted"
    assert store.route_history("support")[-1].verdict_id == "v1"


def test_promotion_needs_an_offline_verdict(store):
    begun(store, stages=(0.1,))
    for number in range(200):
        store.add_traces(mirrored(number))
    rollout.advance(store, "support", who="ada", at=START + timedelta(hours=25))
    with pytest.raises(UsageError, match="no offline verdict says promote"):
        rollout.promote(store, "support", who="ada", at=START + timedelta(hours=60))
    forced = rollout.promote(store, "support", who="ada", at=START + timedelta(hours=60), force=True)
    assert forced.rollout.state == "promoted" and "forced" in store.route_history("support")[-1].why


@pytest.mark.parametrize(
    ("codes", "missing"), [(("fits",), True), (("fits", "parity_ok"), False), ((), False)]
)
def test_what_is_served_here_must_have_been_compared_with_what_was_trained(store, codes, missing):
    reasons = tuple(Reason(code=code, text=code) for code in codes)
    verdict = Verdict(id="v1", outcome="promote", candidate="c", incumbent="i", reasons=reasons)
    store.put(verdict)
    begun(store, stages=(0.1,))
    for number in range(200):
        store.add_traces(mirrored(number))
    rollout.advance(store, "support", who="ada", at=START + timedelta(hours=25))
    found = rollout.step(store, "support", at=START + timedelta(hours=60)).missing
    assert any("was not compared with the trained one" in one for one in found) is missing


def test_a_bad_candidate_is_rolled_back_by_the_look(store):
    begun(store)
    for number in range(60):
        store.add_traces(mirrored(number, wrong=number % 2 == 0))
    now = rollout.step(store, "support")
    assert now.rollout.state == "rolled_back" and "quality e-value" in now.rollout.why and now.exit_code == 1
    assert store.routes()[0].state == "rolled_back"


def test_a_corrected_answer_counts_for_both(store):
    begun(store)
    own, mirror = mirrored(1, wrong=True)
    store.add_traces([msgspec.structs.replace(own, gold="other"), mirror])
    seen = rollout.step(store, "support").look
    assert seen.pairs == 1 and seen.state("quality").estimate == 1.0


def test_pause_goes_back_one_step_and_advance_goes_on(store):
    begun(store)
    rollout.advance(store, "support", who="ada", at=START, force=True)
    rollout.pause(store, "support", who="ada", at=START)
    assert store.routes()[0].state == "incumbent"
    again = rollout.advance(store, "support", who="ada", at=START, force=True)
    assert again.rollout.stage == 0 and store.routes()[0].canary_share == 0.1


def test_a_pause_in_mirroring_goes_back_to_mirroring_which_no_test_has_to_allow(store):
    begun(store)
    rollout.pause(store, "support", who="ada", at=START, why="the machine moves")
    assert store.routes()[0].state == "incumbent"
    again = rollout.advance(store, "support", who="ada", at=START, why="moved")
    assert again.rollout.state == "shadow" and store.routes()[0].state == "shadow"
    whys = [change.why for change in store.route_history("support")]
    assert whys[1:] == ["paused: the machine moves", "mirrored again: moved"]
    with pytest.raises(UsageError, match="not yet"):
        rollout.advance(store, "support", who="ada", at=START)


def test_a_rollout_beside_another_route_for_the_same_requests_is_refused(store):
    store.save_route(msgspec.structs.replace(ROUTE, name="another"), who="ada", at=START)
    with pytest.raises(FreeholdError, match="same requests as the route another"):
        begun(store)
    assert not rollout_records.live(store)


def test_a_wrong_name_is_told_the_right_ones(store):
    begun(store)
    for wrong in (rollout_records.find, rollout.status, rollout.step):
        with pytest.raises(UsageError) as error:
            wrong(store, "suport")
        assert error.value.hint == "those that have one: support (--route)"
    with pytest.raises(UsageError) as error:
        rollout.rollback_route(store, "suport", who="ada", at=START)
    assert error.value.hint == "routes here: support (--route)"


def test_errors_of_the_candidate_alarm_and_sticky_users_are_one_observation():
    draw = random.Random(2)
    traces = []
    for number in range(600):
        arm = draw.choice(["candidate", "incumbent"])
        fallback = "500" if arm == "candidate" and draw.random() < 0.3 else None
        traces.append(trace(number, arm=arm, fallback=fallback))
    assert "errors" in looked(traces)[1].alarms
    # The same requests as twenty users' thirty each: twenty observations, however many requests.
    sticky = [
        trace(number, user=f"u{number % 20}", arm=traces[number % 20].arm, fallback=one.fallback)
        for number, one in enumerate(traces)
    ]
    assert looked(sticky)[1].state("errors").units == 20


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


def test_when_the_share_rises_only_keys_that_may_move_are_new_units():
    first = [
        trace(1, user="moves", arm="incumbent", share=0.9),
        trace(2, user="stays", arm="candidate", share=0.1),
    ]
    later = [
        trace(3, user="moves", arm="candidate", share=0.5),
        trace(4, user="stays", arm="candidate", share=0.5),
        trace(5, user="fresh", arm="incumbent", share=0.5),
    ]
    ledger, _ = looked([*first, *later])
    units = sorted(ledger.changed.values(), key=lambda one: one.seq)
    assert [(unit.unit, unit.candidate, round(unit.probability, 4)) for unit in units] == [
        ("moves", False, 0.1),
        ("stays", True, 0.1),
        ("moves", True, round(0.4 / 0.9, 4)),
        ("fresh", False, 0.5),
    ]
    assert ledger.tests.candidate_units == 2 and ledger.tests.errors_back.t == 4


def test_a_window_enters_once_it_is_full_or_old_and_in_the_order_of_exposure():
    slow_user, quick_user = [trace(1, user="slow")], [trace(n, user="quick") for n in range(2, 9)]
    ledger, _ = looked([*slow_user, *quick_user], at=START + timedelta(seconds=30))
    assert ledger.tests.errors_back.t == 0 and ledger.waiting() == 2, "who came first is waited for"
    ledger, _ = looked([*slow_user, *quick_user], at=START + timedelta(seconds=65))
    assert ledger.tests.errors_back.t == 2
    assert ledger.changed["arm", "quick", 500_000].n == 5, "the first five requests make the value"


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
        ledger = Ledger(begin(margin=0.1, max_p95_ms=900), [], requests_per_user=1, window_s=60)
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


def test_a_pair_is_scored_once_and_its_score_is_kept(store, monkeypatch):
    begun(store)
    scored = []
    real = scoring._pair

    async def counted(scorer, recipe, asked, mirror):
        scored.append(mirror.id)
        return await real(scorer, recipe, asked, mirror)

    monkeypatch.setattr(scoring, "_pair", counted)
    pairs = [mirrored(number, wrong=number == 0) for number in range(5)]
    for pair in pairs[:3]:
        store.add_traces(pair)
    first = rollout.step(store, "support")
    for pair in pairs[3:]:
        store.add_traces(pair)
    second = rollout.step(store, "support")
    assert (first.look.pairs, second.look.pairs, len(scored)) == (3, 5, 5)
    kept = rollouts.scores_of(store.database, second.rollout.id)
    wrong = json.loads(kept[pairs[0][1].id])
    assert len(kept) == 5 and (wrong["candidate"], wrong["incumbent"], wrong["reference"]) == (
        0,
        1,
        "incumbent",
    )
    assert second.look.state("quality").estimate == pytest.approx(-1 / 5)


def test_a_look_after_a_kill_goes_on_where_the_last_one_was(store, monkeypatch):
    begun(store)
    for number in range(40):
        store.add_traces(mirrored(number, wrong=number % 4 == 0))
    monkeypatch.setattr(scoring, "PAGE", 7)
    with monkeypatch.context() as patched:
        patched.setattr(rollouts, "learn", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            rollout.step(store, "support")
    seen = rollout.step(store, "support").look
    assert seen.pairs == 40 and seen.state("quality").estimate == pytest.approx(-0.25)


def test_two_looks_at_once_count_nothing_twice(store):
    begun(store)
    for number in range(60):
        store.add_traces(mirrored(number))
    looks = [
        threading.Thread(target=rollout.step, args=(store, "support"), kwargs={"at": LATER}) for _ in range(4)
    ]
    for one in looks:
        one.start()
    for one in looks:
        one.join()
    assert rollout.step(store, "support").look.pairs == 60


def test_a_correction_in_time_counts_and_one_too_late_does_not(store):
    begun(store)
    own, mirror = mirrored(1, wrong=True)
    store.add_traces([own, mirror])
    soon = START + timedelta(seconds=30)
    assert rollout.step(store, "support", at=soon).look.pairs == 0
    store.replace_trace(msgspec.structs.replace(own, gold="other"))
    assert rollout.step(store, "support").look.state("quality").estimate == 1.0
    store.replace_trace(msgspec.structs.replace(own, gold="refund"))
    assert rollout.step(store, "support").look.state("quality").estimate == 1.0


def test_rolling_back_does_not_mind_who_changed_the_route_meanwhile(store, monkeypatch):
    begun(store)
    real, calls = store.save_route, []

    def raced(route, **more):
        if not calls:
            calls.append(1)
            real(msgspec.structs.replace(route, state="shadow"), who="bob", at=START)
        return real(route, **more)

    monkeypatch.setattr(store, "save_route", raced)
    assert rollout.rollback(store, "support", who="ada", at=START).state == "rolled_back"
    assert store.routes()[0].state == "rolled_back"


def test_of_two_starts_at_once_one_is_refused(tmp_path):
    outcomes = []

    def go():
        with open_store(default_url(tmp_path)) as mine:
            try:
                outcomes.append(begun(mine).state)
            except FreeholdError as error:
                outcomes.append(type(error).__name__)

    with open_store(default_url(tmp_path)):
        threads = [threading.Thread(target=go) for _ in range(4)]
        for one in threads:
            one.start()
        for one in threads:
            one.join()
    assert outcomes.count("shadow") == 1


def test_the_command(tmp_path, monkeypatch):
    from freehold.cli.main import cli

    monkeypatch.chdir(tmp_path)
    (tmp_path / "freehold.toml").write_text(
        '[app]\nname = "support"\n[incumbent]\nmodel = "gpt-4o"\nbase_url = "http://127.0.0.1:1"\n'
        '[task]\nscorer = "exact"\nmargin = 0.1\n[rollout]\ncanary = [0.1, 0.5]\nshadow = 0.5\n'
    )
    run = lambda *words: CliRunner().invoke(cli, ["rollout", *words])  # noqa: E731
    assert isinstance(run("status").exception, UsageError)
    assert isinstance(run("start").exception, UsageError)
    assert "local is an endpoint" in str(run("start", "--candidate", "local").exception)
    begun = run("start", "--candidate", "base:ft", "--json")
    assert json.loads(begun.stdout)["state"] == "shadow"
    shown = run("status")
    assert shown.exit_code == 3 and "quality" in shown.stdout and "not yet:" in shown.stdout
    paused = run("pause", "--why", "lunch")
    assert paused.exit_code == 0 and run("advance", "--why", "coffee").exit_code == 0
    back = run("rollback", "--why", "enough")
    assert back.exit_code == 0 and "rolled_back (enough)" in back.stdout
    assert run("status").exit_code == 1


def test_looking_takes_nothing_in_and_moves_nothing(store):
    begun(store)
    for number in range(200):
        store.add_traces(mirrored(number, wrong=True))
    before = store.routes(), store.route_history("support"), rollout_records.find(store, "support")
    seen = rollout.status(store, "support", at=LATER)
    assert seen.look.pairs == 0 and seen.rollout.state == "shadow"
    assert (store.routes(), store.route_history("support"), rollout_records.find(store, "support")) == before
    stepped = rollout.step(store, "support", at=LATER)
    assert stepped.rollout.state == "rolled_back" and stepped.look.pairs > 0
    assert rollout.status(store, "support", at=LATER) == stepped
