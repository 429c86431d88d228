"""One look at a rollout's traces: each pair is scored once, also when a look is cut off or races another."""

import random
import threading
from datetime import timedelta

import msgspec
import pytest
from tests.workflows.shift.shifting import LATER, START, begun, mirrored, promoting, trace
from tests.workflows.tell.views.evidence import INTENTS, TOML, evaluated, project_of
from tests.workflows.tell.views.evidence import _scored as scored

from freehold.evals.comparing import SideBySide
from freehold.store import open_store, rollouts
from freehold.types.dataset import Message, Sample
from freehold.types.deferral import DeferralDecision
from freehold.types.evaluation import Task
from freehold.types.rollout import Rollout
from freehold.workflows.prove.mixed import agreement_shift
from freehold.workflows.shift.rollout import rollout, scoring
from freehold.workflows.shift.rollout.scoring import path_of, quality_path


def test_a_corrected_answer_counts_for_both(store):
    begun(store)
    own, mirror = mirrored(1, wrong=True)
    store.add_traces([msgspec.structs.replace(own, gold="other"), mirror])
    seen = rollout.step(store, "support").look
    assert seen.pairs == 1 and seen.state("quality").estimate == 1.0


@pytest.mark.process
def test_an_incumbent_is_scored_too_where_the_scorer_looks_at_answers_alone(store):
    """Its own answer as the reference would make it right by construction, and a judge or a pattern may not agree."""
    begun(store, task=Task(name="support", scorer="regex", margin=0.1, options={"pattern": "paid"}))
    store.add_traces(mirrored(1, wrong=True))
    seen = rollout.step(store, "support").look
    assert seen.pairs == 1 and seen.state("quality").estimate == 0.0, "neither has it"


def test_what_a_rule_would_leave_to_the_incumbent_is_no_loss(store):
    begun(store)
    own, mirror = mirrored(1, wrong=True)
    left = DeferralDecision(rule_id="r", by="incumbent", why="unsure", confidence=0.2)
    store.add_traces([own, msgspec.structs.replace(mirror, deferral=left)])
    seen = rollout.step(store, "support").look
    assert seen.pairs == 1 and seen.state("quality").estimate == 0.0


def test_what_it_would_let_the_candidate_answer_is(store):
    begun(store)
    own, mirror = mirrored(1, wrong=True)
    sure = DeferralDecision(rule_id="r", by="candidate", why="sure", confidence=0.9)
    store.add_traces([own, msgspec.structs.replace(mirror, deferral=sure)])
    assert rollout.step(store, "support").look.state("quality").estimate == -1.0


def answered(n, seed, *, ours=0.71, theirs=0.65):
    """Right answers, the incumbent's and the candidate's: both err, and seldom alike."""
    draw = random.Random(seed)

    def say(right, often):
        return right if draw.random() < often else draw.choice(INTENTS)

    rights = [draw.choice(INTENTS) for _ in range(n)]
    return [(right, say(right, theirs), say(right, ours)) for right in rights]


@pytest.mark.parametrize(("ours", "goes_back"), [(0.71, False), (0.2, True)])
def test_an_incumbent_that_errs_does_not_make_a_better_candidate_look_worse(store, tmp_path, ours, goes_back):
    proven = [
        (
            Sample(id=f"{n:032x}", messages=(Message(role="user", content=f"q{n}"),), gold=right, incumbent=theirs),
            scored(f"{n:032x}", "gpt-4o", theirs, right),
            scored(f"{n:032x}", "base:ft", own, right),
        )
        for n, (right, theirs, own) in enumerate(answered(471, 1))
    ]  # fmt: skip
    task = Task(name="support", scorer="label", margin=0.03, options={"labels": INTENTS})
    samples, incumbent, candidate = zip(*proven, strict=True)
    found = SideBySide(samples, [one.gold for one in samples], incumbent, candidate, "gpt-4o", "base:ft")
    made = evaluated(project_of(tmp_path, TOML), store, found, task=task)
    store.put(promoting(made_from=(made.comparison.id,)))
    shift = agreement_shift(store, task, None, "v1", only_sure=False)
    agree = sum(theirs.output == own.output for theirs, own in zip(incumbent, candidate, strict=True)) / 471
    assert shift.difference == pytest.approx(1 - agree) and shift.difference > 0.3
    begun(store, agreement=shift, task=task)
    for number, (_, theirs, own) in enumerate(answered(600, 2, ours=ours)):
        asked = trace(number, share=1.0, answer=theirs)
        store.add_traces([asked, trace(number, arm="candidate", parent_id=asked.id, answer=own)])
    seen = rollout.step(store, "support", at=LATER)
    assert (seen.rollout.state == "rolled_back") == goes_back, seen.rollout.why
    if not goes_back:
        assert seen.look.state("quality").estimate == pytest.approx(0.0, abs=0.06)


def test_a_pair_is_scored_once(store, monkeypatch):
    begun(store)
    scored = []
    real = scoring._score_pair

    async def counted(scorer, recipe, asked, mirror, shift):
        scored.append(mirror.id)
        return await real(scorer, recipe, asked, mirror, shift)

    monkeypatch.setattr(scoring, "_score_pair", counted)
    pairs = [mirrored(number, wrong=number == 0) for number in range(5)]
    for pair in pairs[:3]:
        store.add_traces(pair)
    first = rollout.step(store, "support")
    for pair in pairs[3:]:
        store.add_traces(pair)
    second = rollout.step(store, "support")
    assert (first.look.pairs, second.look.pairs, len(scored)) == (3, 5, 5)
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


TIMES = [START + timedelta(seconds=n) for n in range(1000)]


def test_it_narrows_around_the_mean_and_is_mirrored_by_turned_differences():
    draw = random.Random(1)
    values = [draw.choice((-1.0, 0.0, 0.0, 0.0, 1.0)) for _ in TIMES]
    path = path_of(TIMES, values, most=50)
    assert len(path) == 50 and path[-1].users == 1000 and path[-1].at == TIMES[-1]
    assert all(one.low <= one.mean <= one.high for one in path[5:])
    assert path[-1].high - path[-1].low < path[10].high - path[10].low
    turned = path_of(TIMES, [-value for value in values], most=50)
    assert turned[-1].low == pytest.approx(-path[-1].high)
    assert path_of([], []) == () and len(path_of(TIMES[:1], [0.5])) == 1


def test_it_holds_the_truth_at_all_times_in_nearly_all_runs():
    draw, missed = random.Random(2), 0
    for _ in range(200):
        values = [draw.choice((-1.0, 0.0, 0.0, 1.0, 1.0)) for _ in range(400)]
        path = path_of(TIMES[:400], values, most=400)
        missed += any(not one.low <= 0.2 <= one.high for one in path)
    assert missed <= 10, "one in twenty"


def test_a_rollout_has_one_from_its_mirrored_users(tmp_path):
    with open_store(f"sqlite:///{tmp_path}/store.sqlite") as store:
        begun(store)
        for number in range(8):
            store.add_traces(mirrored(number, wrong=number == 7))
        rollout.step(store, "support", at=LATER)
        (found,) = store.records(Rollout)
        path = quality_path(store, found)
    assert [one.users for one in path] == list(range(1, 9)) and path[-1].mean == -1 / 8
