"""Generations of a words student: proven on what was audited, held back, gone on with after a kill."""

import random
import shutil
from datetime import timedelta
from decimal import Decimal

import msgspec
import pytest
from tests.workflows.improve.conftest import AUDIT, rows

from freehold.datasets import building
from freehold.errors import UsageError
from freehold.progress import Silent
from freehold.stats import generations as budget
from freehold.types.dataset import Dataset
from freehold.types.evaluated import ItemLook
from freehold.types.generation import FOLDER, Generation
from freehold.types.verdict import Verdict
from freehold.workflows.data import dataset as dataset_workflow
from freehold.workflows.improve import improve as work
from freehold.workflows.improve import proof, traffic
from freehold.workflows.improve.chain import _learned_upto, outlook_of
from freehold.workflows.improve.improve import improve
from freehold.workflows.improve.traffic import AUDIT as AUDIT_MARK
from freehold.workflows.improve.traffic import is_audited
from freehold.workflows.shift import swapping

pytestmark = pytest.mark.process


def test_a_generation_is_proven_by_what_was_audited_and_serves(scene):
    before = scene.stream()
    made = improve(scene.project, progress=Silent())
    assert made.outcome == "serves" and made.exit_code == 0, made.sentence
    anchor, first = made.generations
    assert (anchor.number, anchor.state, first.number) == (0, "serves", 1)
    assert first.alpha == pytest.approx(budget.next_level([]).swap_alpha)
    assert first.share > before["share"] and first.share_before == pytest.approx(before["share"], abs=0.05)
    assert {one.number for one in first.earlier} == {0} and first.earlier[0].verdict == "promote"
    dataset = next(one for one in scene.store.records(Dataset) if one.id == first.dataset_id)
    held = {one.trace_id for one in building.samples(dataset, "held_out")}
    audited = {
        one.id
        for one in scene.store.traces(own_only=True)
        if one.arm == "candidate" and is_audited(one.id, AUDIT)
    }
    assert held == audited and len(held) == first.traffic.audited
    taught = {one.trace_id for name in ("train", "validation") for one in building.samples(dataset, name)}
    assert not taught & audited and len(taught) > 1_000
    asked = [one for one in scene.store.traces() if one.decision == AUDIT_MARK]
    assert len(asked) == len(scene.asked) == first.traffic.asked and first.traffic.usd > 0
    assert {one.parent_id for one in asked} < audited, "what the incumbent answered anyway is not asked again"
    assert scene.store.latest(Verdict).id == first.verdict_id
    assert not (scene.project.state / FOLDER).exists(), "what users wrote does not stay there"


def test_too_little_is_said_with_a_day_and_nothing_is_asked(scene):
    scene.stream(n=60)
    made = improve(scene.project, progress=Silent())
    assert made.outcome == "waiting" and made.exit_code == 3 and scene.asked == []
    seen = made.outlook
    assert 0 < seen.traffic.audited < seen.wanted and seen.ready_at is not None
    assert f"{seen.wanted:,} that it takes, at this rate by {seen.ready_at:%Y-%m-%d}" in made.sentence
    assert [one.number for one in scene.store.records(Generation)] == [0]


def test_a_dry_run_says_what_it_would_take_and_changes_nothing(scene):
    scene.stream()
    made = outlook_of(scene.project)
    seen = made.outlook
    assert made.outcome == "waiting" and "can be made" in made.sentence and scene.asked == []
    assert seen.suffices and 0 < seen.to_ask < seen.traffic.audited and seen.usd > 0
    assert scene.store.records(Generation) == []


def test_a_killed_generation_goes_on_with_what_it_had(scene, monkeypatch):
    scene.stream()

    class Killed(BaseException):
        """As a signal ends a process."""

    def killed_in(owner, name, *, after=0):
        real, calls = getattr(owner, name), []

        def stopped(*args, **more):
            calls.append(name)
            if len(calls) > after:
                raise Killed
            return real(*args, **more)

        with monkeypatch.context() as patched:
            patched.setattr(owner, name, stopped)
            with pytest.raises(Killed):
                improve(scene.project, progress=Silent())

    def state():
        return max(scene.store.records(Generation), key=lambda one: one.number).state

    killed_in(traffic, "_answer_trace", after=100)
    assert state() == "begun" and len(scene.asked) > 0
    killed_in(work, "try_candidates")
    asked = len(scene.asked)
    killed_in(work.GenerationLooks, "_keep")
    assert state() == "begun"
    killed_in(proof, "compared")
    assert state() == "looked", "it is written down before what it shows is known"
    scene.stream(n=200, seed=3, day=2)  # what arrives meanwhile is the next one's
    killed_in(work._Work, "_served")
    assert state() == "proven"
    killed_in(swapping, "swap")
    assert state() == "proven" and scene.serving.number == 0
    real = swapping.swap

    def swapped(*args, **more):
        real(*args, **more)
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(swapping, "swap", swapped)
        with pytest.raises(Killed):
            improve(scene.project, progress=Silent())
    assert state() == "proven" and scene.serving.number == 1, "the route names it, so it serves"
    made = improve(scene.project, progress=Silent())
    assert made.outcome == "serves" and [one.number for one in made.generations] == [0, 1]
    assert made.generations[1].traffic.upto < scene.store.newest_trace().place
    assert len(scene.asked) == asked, "answers that were there are not paid for twice"
    assert len({one.id for one in scene.store.records(ItemLook)}) <= 3


def test_a_generation_that_went_back_is_said_to_have(scene):
    scene.stream()
    assert improve(scene.project, progress=Silent()).outcome == "serves"
    assert scene.route.candidate.endpoint == "local-a" and scene.serving.number == 1
    assert swapping.back(scene.store, "banking", who="test", at=traffic.now(), why="empty answers")
    assert scene.store.latest(Generation).state == "rolled_back", "known at once, not at the next run"
    assert scene.serving.number == 0 and scene.route.candidate.endpoint == "local"
    made = improve(scene.project, progress=Silent())
    assert made.outcome == "waiting" and [one.state for one in made.generations] == ["serves", "rolled_back"]
    assert scene.store.latest(Generation).state == "rolled_back"


def test_a_budget_is_one_generations_however_often_it_is_tried(scene, monkeypatch):
    monkeypatch.setattr(work, "_ENOUGH", 2.0)  # more than the incumbent has answered anyway
    scene.stream()
    budget_usd = outlook_of(scene.project).outlook.usd / 6
    improving = msgspec.structs.replace(scene.project.config.improve, budget_usd=budget_usd)
    config = msgspec.structs.replace(scene.project.config, improve=improving)
    project = type(scene.project)(
        scene.project.root, config, scene.project.settings, scene.project.config_path
    )
    for _ in range(3):
        with pytest.raises(UsageError, match="have an answer of the incumbent") as refused:
            improve(project, progress=Silent())
        assert "budget_usd allows more" in refused.value.hint
    assert 0 < len(scene.asked) * Decimal("0.000025") <= budget_usd


def test_what_was_looked_at_and_is_gone_is_not_looked_at_again(scene, monkeypatch):
    scene.stream()
    with monkeypatch.context() as patched:
        patched.setattr(proof, "compared", lambda *args: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            improve(scene.project, progress=Silent())
    shutil.rmtree(scene.project.state / FOLDER)  # as forget leaves it
    made = improve(scene.project, progress=Silent())
    assert made.outcome == "held" and "deleted after it was looked at" in made.sentence


def test_what_a_migration_has_learned_is_not_fresh(scene):
    scene.stream(n=40)
    first = scene.serving
    assert first.traffic.upto == 0, "none of the first model's samples was answered by a candidate"
    for trace in list(scene.store.traces(own_only=True)):
        if trace.arm == "candidate":
            scene.store.replace_trace(msgspec.structs.replace(trace, gold="topic-a"))
    upto = scene.store.newest_trace().place
    built = dataset_workflow.build(scene.project)
    scene.stream(n=5, seed=3, day=2)
    assert _learned_upto(scene.store, scene.route, built) == upto
    shutil.rmtree(built.path)
    assert _learned_upto(scene.store, scene.route, built) == scene.store.newest_trace().place


def test_what_is_worse_is_held_and_its_look_is_spent(scene):
    wrong = dict.fromkeys(scene.says, "topic-a")
    scene.stream()
    for trace in list(scene.store.traces(own_only=True)):
        if trace.arm == "candidate" and not is_audited(trace.id, AUDIT):
            message = {"role": "assistant", "content": wrong[trace.request["messages"][0]["content"]]}
            bad = msgspec.structs.replace(trace, response={"choices": [{"message": message}]})
            scene.store.replace_trace(bad)
    present = scene.store.latest(Dataset).id
    verdict = scene.store.latest(Verdict).id
    made = improve(scene.project, progress=Silent())
    assert made.outcome == "held" and made.exit_code == 1 and "Generation 0 goes on" in made.sentence
    assert made.notes == (), "the first model is as near to the incumbent as it was"
    assert scene.serving.number == 0
    assert scene.store.latest(Dataset).id == present and scene.store.latest(Verdict).id == verdict
    scene.stream(n=1_200, seed=4, day=2)
    again = outlook_of(scene.project).outlook
    assert again.number == 2 and again.traffic.after == made.generations[1].traffic.upto
    assert again.alpha == pytest.approx(0.05 * budget.gamma(2)), "a level that proved nothing is gone"


@pytest.mark.parametrize("labelled", [True, False])
def test_an_incumbent_that_answers_otherwise_is_told_from_a_worse_model(scene, labelled):
    """By right answers, as in the proof; what agreement says is not to be compared with that."""
    draw = random.Random(5)
    for text in sorted(scene.says):
        if draw.random() < 0.3:
            scene.says[text] = "topic-a"
    scene.stream()
    for trace in list(scene.store.traces(own_only=True)):
        if trace.arm == "candidate" and trace.gold is not None:
            right = scene.says[trace.request["messages"][0]["content"]] if labelled else None
            scene.store.replace_trace(msgspec.structs.replace(trace, gold=right))
    made = improve(scene.project, progress=Silent())
    assert made.outcome == "held"
    if labelled:
        (said,) = made.notes
        assert "the incumbent's answers have changed" in said and "whose model is as it was, is at -" in said
    else:
        assert made.notes == ()


def test_one_user_does_not_teach_what_all_are_answered(scene):
    scene.stream()
    for trace in list(scene.store.traces(own_only=True)):
        if trace.arm == "candidate":
            by = msgspec.structs.replace(trace, gold="topic-a", user="mallory")
            scene.store.replace_trace(by)
    found = outlook_of(scene.project).outlook.traffic
    answered = {one.id: one for one in scene.store.traces(own_only=True) if one.arm == "candidate"}
    built = traffic.build(scene.project, scene.store, scene.route, found, answered, Silent())
    left = {name: count for name, count in built.left_out.items() if "corrected by one user" in name}
    assert sum(left.values()) > found.audited + found.deferred
    golds = [one.gold for name in ("train", "held_out") for one in building.samples(built.dataset, name)]
    assert sum(one == "topic-a" for one in golds) < 200


def test_answers_that_may_not_be_learned_teach_nothing(scene):
    scene.stream()
    project = type(scene.project)(
        scene.project.root,
        msgspec.structs.replace(
            scene.project.config,
            incumbent=msgspec.structs.replace(scene.project.config.incumbent, model="rented-1"),
        ),
        scene.project.settings,
        scene.project.config_path,
    )
    # This incumbent's name is in no catalog; what was learned from before is labelled by people.
    made = improve(project, progress=Silent())
    last = made.generations[-1]
    dataset = next(one for one in scene.store.records(Dataset) if one.id == last.dataset_id)
    assert dataset.targets_from["incumbent"] == 0, made.sentence
    assert sum(n for why, n in last.traffic.left_out.items() if "may not be learned from" in why) > 100


def test_after_an_alarm_only_what_was_asked_since_proves(scene, monkeypatch):
    scene.stream()
    with monkeypatch.context() as patched:
        patched.setattr(work._Work, "_served", lambda *args: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            improve(scene.project, progress=Silent())
    scene.store.put(msgspec.structs.replace(scene.store.latest(Generation), better=True))
    route = scene.route
    safe = msgspec.structs.replace(route, deferral=route.deferral.on_safe_side())
    scene.store.save_route(safe, who="test", at=traffic.now())
    upto = scene.store.newest_trace().place
    made = improve(scene.project, progress=Silent())
    assert made.outcome == "held" and "an alarm has taken the traffic" in made.sentence
    assert "The incumbent goes on" in made.sentence
    asked = len(scene.asked)
    assert outlook_of(scene.project).outlook.traffic.audited == 0
    scene.stream(seed=3, day=2)
    seen = outlook_of(scene.project).outlook
    assert seen.traffic.after == upto and seen.share_now == 0 and seen.to_ask == 0
    made = improve(scene.project, progress=Silent())
    rule = scene.route.deferral
    assert made.outcome == "serves" and (rule is None or not rule.is_on_safe_side), made.sentence
    assert made.generations[-1].share_before == 0 and len(scene.asked) == asked


def test_what_is_not_promoted_is_no_ground_to_improve_on(scene):
    route = scene.route
    scene.store.save_route(msgspec.structs.replace(route, state="canary"), who="test", at=traffic.now())
    with pytest.raises(UsageError, match="only a promoted model gets better"):
        outlook_of(scene.project)


def test_places_bound_a_generation_whatever_the_clock_says(scene):
    scene.stream(n=30, day=1)
    upto = scene.store.newest_trace().place
    scene.stream(n=30, seed=3, day=-400)
    seen = traffic.span(scene.store, scene.route, scene.project, after=upto, upto=10**9)
    assert seen.found.requests == 30 and seen.first_at < seen.audited[0].at + timedelta(days=1)
    assert traffic.span(scene.store, scene.route, scene.project, after=0, upto=upto).found.requests == 30


def test_a_smaller_share_is_part_of_every_larger_one():
    ids = [f"trace-{one}" for one in range(5_000)]
    small, large = ({one for one in ids if is_audited(one, share)} for share in (0.05, 0.3))
    assert small < large and 0.03 < len(small) / 5_000 < 0.07 and 0.27 < len(large) / 5_000 < 0.33
    assert not any(is_audited(one, 0.0) for one in ids) and all(is_audited(one, 1.0) for one in ids)
    assert rows(3, 1) == rows(3, 1)
