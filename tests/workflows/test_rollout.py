"""Rollouts over a real store: what the tests see, when they act, who may step forward."""

import json
import random
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from click.testing import CliRunner

from freehold.errors import UsageError
from freehold.store import default_url, open_store
from freehold.types.evaluation import Task
from freehold.types.record import event_id
from freehold.types.route import Route, Target
from freehold.types.trace import Trace
from freehold.types.verdict import Reason, Verdict
from freehold.workflows import rollout, rollout_tests
from freehold.workflows.rehearse import rehearse
from freehold.workflows.rollout_tests import Pair, look

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
ROUTE = Route(
    name="support",
    model="gpt-4o",
    incumbent=Target(endpoint="incumbent"),
    candidate=Target(endpoint="local", model="base:ft"),
)


def trace(number, *, user=None, arm="incumbent", share=0.5, answer="refund", parent_id=None, **more):
    at = START + timedelta(seconds=number + 1)
    values = {
        "id": event_id(int(at.timestamp() * 1000)),
        "at": at,
        "source": "gateway",
        "model": "gpt-4o",
        "request": {"messages": [{"role": "user", "content": f"question {number}"}]},
        "response": {"choices": [{"message": {"role": "assistant", "content": answer}}]},
        "route": "support",
        "arm": arm,
        "share": share,
        "assignment_key": user or f"user-{number}",
        "parent_id": parent_id,
        "total_ms": 100.0,
        **more,
    }
    return Trace(**values)


def mirrored(number, *, wrong=False, **more):
    own = trace(number, share=1.0, **more)
    return own, trace(
        number, arm="candidate", parent_id=own.id, answer="other" if wrong else "refund", **more
    )


@pytest.fixture
def store(tmp_path):
    with open_store(default_url(tmp_path)) as store:
        yield store


def begin(store, **changes):
    values = {
        "task": Task(name="support", scorer="exact", margin=0.1),
        "stages": (0.1, 0.5),
        "shadow_share": 1.0,
        "max_p95_ms": None,
        "who": "ada",
        "at": START,
        **changes,
    }
    return rollout.start(store, ROUTE, **values)


def test_start_mirrors_and_refuses_a_second_rollout(store):
    begin(store)
    assert store.routes()[0].state == "shadow" and store.routes()[0].shadow_share == 1.0
    with pytest.raises(UsageError, match="a rollout of the route support is running"):
        begin(store)
    rollout.rollback(store, "support", who="ada", at=START, why="enough")
    assert store.routes()[0].state == "rolled_back"
    assert store.route_history("support")[-1].why == "enough"
    with pytest.raises(UsageError):
        rollout.start(store, ROUTE, **BAD_STAGES)


BAD_STAGES = {
    "task": Task(name="support", scorer="exact", margin=0.1),
    "stages": (0.5, 0.1),
    "shadow_share": 1.0,
    "max_p95_ms": None,
    "who": "ada",
    "at": START,
}


@pytest.mark.slow
def test_a_good_candidate_goes_through_all_steps(store):
    verdict = Verdict(id="v1", outcome="promote", candidate="c", incumbent="i", reasons=())
    store.put_record("verdict", "v1", verdict)
    begin(store)
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
    begin(store, stages=(0.1,))
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
    store.put_record("verdict", "v1", verdict)
    begin(store, stages=(0.1,))
    for number in range(200):
        store.add_traces(mirrored(number))
    rollout.advance(store, "support", who="ada", at=START + timedelta(hours=25))
    found = rollout.status(store, "support", at=START + timedelta(hours=60)).missing
    assert any("was not compared with the trained one" in one for one in found) is missing


def test_a_bad_candidate_is_rolled_back_by_the_look(store):
    begin(store)
    for number in range(60):
        store.add_traces(mirrored(number, wrong=number % 2 == 0))
    now = rollout.status(store, "support")
    assert now.rollout.state == "rolled_back" and "quality e-value" in now.rollout.why and now.exit_code == 1
    assert store.routes()[0].state == "rolled_back"


def test_a_corrected_answer_counts_for_both(store):
    begin(store)
    own, mirror = mirrored(1, wrong=True)
    store.add_traces([msgspec.structs.replace(own, gold="other"), mirror])
    seen = rollout.status(store, "support").look
    assert seen.pairs == 1 and seen.state("quality").estimate == 1.0


def test_pause_goes_back_one_step_and_advance_goes_on(store):
    begin(store)
    rollout.advance(store, "support", who="ada", at=START, force=True)
    rollout.pause(store, "support", who="ada", at=START)
    assert store.routes()[0].state == "incumbent"
    again = rollout.advance(store, "support", who="ada", at=START, force=True)
    assert again.rollout.stage == 0 and store.routes()[0].canary_share == 0.1


def test_errors_of_the_candidate_alarm_and_sticky_users_are_one_observation():
    draw = random.Random(2)
    traces = []
    for number in range(600):
        arm = draw.choice(["candidate", "incumbent"])
        fallback = "500" if arm == "candidate" and draw.random() < 0.3 else None
        traces.append(trace(number, arm=arm, fallback=fallback))
    assert "errors" in look(traces, [], margin=0.1, max_p95_ms=None).alarms
    # The same requests as twenty users' thirty each: twenty observations, however many requests.
    sticky = [
        trace(number, user=f"u{number % 20}", arm=traces[number % 20].arm, fallback=one.fallback)
        for number, one in enumerate(traces)
    ]
    assert look(sticky, [], margin=0.1, max_p95_ms=None).state("errors").units == 20


def test_broken_schemas_and_slow_answers_have_tests_of_their_own():
    draw = random.Random(3)
    arms = [draw.choice(["candidate", "incumbent"]) for _ in range(800)]
    broken = [
        trace(n, arm=arm, fallback="schema" if arm == "candidate" else None) for n, arm in enumerate(arms)
    ]
    assert look(broken, [], margin=0.1, max_p95_ms=None).alarms == ("validity",)
    slow = [trace(n, arm=arm, total_ms=2000.0 if n % 5 == 0 else 100.0) for n, arm in enumerate(arms)]
    assert look(slow, [], margin=0.1, max_p95_ms=900).alarms == ("latency",)
    assert look(slow, [], margin=0.1, max_p95_ms=None).alarms == ()


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
    units = list(rollout_tests._exposures([*first, *later], [1.0] * 5))
    assert [(unit.candidate, round(unit.probability, 4)) for unit in units] == [
        (False, 0.1),
        (True, 0.1),
        (True, round(0.4 / 0.9, 4)),
        (False, 0.5),
    ]


def test_equal_arms_raise_no_alarm_however_often_one_looks():
    draw = random.Random(4)
    alarms = 0
    for _ in range(20):
        traces = [
            trace(
                n,
                arm=draw.choice(["candidate", "incumbent"]),
                fallback="500" if draw.random() < 0.02 else None,
            )
            for n in range(300)
        ]
        pairs = [Pair(f"u{n}", draw.choice([-1.0, 0.0, 0.0, 0.0, 1.0])) for n in range(300)]
        alarms += any(
            look(traces[:n], pairs[:n], margin=0.1, max_p95_ms=900).alarms for n in (50, 100, 200, 300)
        )
    assert alarms <= 1


def test_rehearsal():
    bad = rehearse(margin=0.1, drop=0.5)
    assert bad.rolled_back and bad.pairs <= 100
    assert not rehearse(margin=0.1, drop=0.0, most_pairs=200).rolled_back


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
    begun = run("start", "--candidate", "base:ft", "--json")
    assert json.loads(begun.stdout)["state"] == "shadow"
    shown = run("status")
    assert shown.exit_code == 3 and "quality" in shown.stdout and "not yet:" in shown.stdout
    back = run("rollback", "--why", "enough")
    assert back.exit_code == 0 and "rolled_back (enough)" in back.stdout
    assert run("status").exit_code == 1
    assert run("rehearse", "--drop", "0.6").exit_code == 0
