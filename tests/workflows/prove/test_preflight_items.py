import msgspec
import numpy as np
import pytest
from tests.workflows.prove.held_out import make_dataset, sample

from freehold.stats.compare import outcome_of
from freehold.stats.looks import LookPlan
from freehold.stats.rules import DecisionRule
from freehold.store import open_store
from freehold.types.config_file import parse
from freehold.types.evaluation import Task
from freehold.workflows.prove.looks import Looks, look_at, look_findings
from freehold.workflows.prove.preflight import label_findings, length_findings
from freehold.workflows.prove.reach import Items, reach_findings


def find(size, margin, *, looks=1, **items):
    (found,) = reach_findings(Items(size, **items), margin=margin, alpha=0.025, looks=LookPlan(looks))
    return found


def test_too_few_items_for_the_margin_say_what_they_can_prove_and_what_is_needed():
    found = find(60, 0.03)
    assert found.outcome == "fail"
    assert found.text == (
        "with n = 60 you can prove 6.7 points at best, and your margin is 3 points: a candidate that is as good as the "
        "incumbent cannot be promoted"
    )
    assert found.fix.startswith(
        "hold out 126 items at least, about 498 for a good chance; or accept a margin of 0.067"
    )


@pytest.mark.parametrize(("size", "margin"), [(60, 0.061), (60, 0.06), (126, 0.03), (125, 0.03), (29, 0.4)])
def test_what_it_says_is_what_the_verdict_does(size, margin):
    both_right = np.ones(size)
    promoted = outcome_of(both_right, both_right, DecisionRule(margin=margin)) == "promote"
    assert (find(size, margin).outcome != "fail") == promoted


def test_where_the_incumbent_errs_a_better_candidate_may_still_be_promoted():
    poor = [0.0] * 30 + [1.0] * 30
    found = find(60, 0.03, incumbent=poor)
    assert found.outcome == "warn" and "only a candidate that is clearly better" in found.text
    found = find(60, 0.03, incumbent=[1.0] * 60)
    assert found.outcome == "fail"
    assert "promote is impossible, even for a candidate that is right on every item" in found.text


def test_planned_looks_share_alpha_and_many_items_are_fine():
    assert find(126, 0.03).outcome == "warn"
    found = find(126, 0.03, looks=3)
    assert found.outcome == "fail" and "with alpha shared by 3 evaluations" in found.text
    found = find(1_000, 0.03)
    assert found.outcome == "ok"
    assert "promoted with a probability of 9" in found.text


def test_groups_count_where_items_belong_together():
    groups = np.arange(200) // 10
    assert find(200, 0.03).outcome == "warn"
    found = find(200, 0.03, groups=groups)
    assert found.outcome == "fail" and "n = 200 in 20 groups" in found.text
    assert found.fix.startswith(
        "there are items enough and too few groups: hold out 126 groups, each a conversation"
    )
    few = find(60, 0.03, groups=np.arange(60) // 2, records=300)
    assert few.fix.startswith("hold out 126 groups") and "about 1,260 records" in few.fix


def test_scores_between_0_and_1_are_held_to_the_least_number_and_warned_of_rare_losses():
    assert not list(reach_findings(Items(122, binary=False), margin=0.03, alpha=0.025))
    assert not list(reach_findings(Items(60, binary=False, judged=True), margin=0.03, alpha=0.025))
    found = find(121, 0.03, binary=False)
    assert found.outcome == "warn" and "only a candidate that is clearly better" in found.text
    assert "hold out 122 items at least" in found.fix
    assert find(20, 0.03, binary=False).outcome == "fail"
    assert not list(reach_findings(Items(0), margin=0.03, alpha=0.025))


def test_both_ways_out_are_named_with_the_records_and_the_share_they_take():
    found = find(100, 0.02, records=500)
    assert found.outcome == "fail"
    assert found.fix == (
        "hold out 191 items at least (about 955 records at the present share or [data] held_out = 0.4), about 1,048 "
        "for a good chance; or accept a margin of 0.038 ([task] margin)"
    )
    assert "held_out =" not in find(60, 0.02, records=300).fix, "more than half of the records"
    assert "records" not in find(60, 0.02, records=60).fix, "files of their own"


TASK = Task(name="t", scorer="label", margin=0.05)


def lengths(tmp_path, characters, *, more=""):
    samples = [sample(number, asked=f"{number} " + "x" * size) for number, size in enumerate(characters)]
    config = parse(f'[app]\nname = "t"\n{more}')
    made = make_dataset(tmp_path, samples, train=samples)
    return list(length_findings(config, made, samples, trains=True, serves=True))


def test_prompts_longer_than_what_is_trained_on_fail_and_name_the_key(tmp_path):
    train, context = lengths(tmp_path, [20_000] * 36, more="[serve]\ncontext_tokens = 8192\n")
    assert train.outcome == "fail"
    assert (
        train.text == "36 of 36 training samples are longer than [train] max_tokens = 1,024 and are left out"
    )
    assert train.fix == "[train] max_tokens = 8192 in freehold.toml"
    assert context.outcome == "ok"


def test_a_few_long_ones_are_a_warning(tmp_path):
    train, context = lengths(tmp_path, [100] * 35 + [9_000])
    assert (train.outcome, context.outcome) == ("warn", "warn")
    assert "about 1 of 36 training samples may be longer" in train.text
    assert context.fix == "[serve] context_tokens = 4096 in freehold.toml"


def test_labels_that_are_asked_for_and_never_taught_are_named(tmp_path):
    train = [sample(1, gold="Yes"), sample(2, gold="no")]
    held_out = [
        sample(3, gold="yes"),
        sample(4, gold="perhaps"),
        sample(5, gold="perhaps"),
        sample(6, gold="no"),
    ]
    (found,) = label_findings(TASK, make_dataset(tmp_path, held_out, train=train), held_out)
    assert found.outcome == "warn"
    assert found.text == (
        "1 of 3 labels of the held-out part are never taught: perhaps (2); that is 50.0% of its items"
    )
    (found,) = label_findings(TASK, make_dataset(tmp_path, held_out[:1], train=train), held_out[:1])
    assert found.outcome == "ok"
    (found,) = label_findings(TASK, make_dataset(tmp_path, held_out, train=train), held_out[1:3])
    assert found.outcome == "fail"


def test_a_spent_error_is_told_and_a_planned_look_is_not(tmp_path):
    samples = [sample(number) for number in range(40)]
    made = make_dataset(tmp_path, samples, train=samples[:1])
    with open_store(f"sqlite:///{tmp_path / 's.sqlite'}") as store:
        (found,) = look_findings(store, made, TASK, samples)
        assert (found.outcome, found.text) == ("ok", "evaluation 1 of these items, 1 planned")
        Looks(store, LookPlan(2)).take(
            look_at(samples, evaluation_id="e1", dataset_id=made.id, names=("i", "c"), alpha=TASK.alpha)
        )
        (found,) = look_findings(store, made, TASK, samples, LookPlan(2))
        assert found.outcome == "ok"
        (found,) = look_findings(store, made, TASK, samples)
        assert found.outcome == "warn"
        assert (
            "40 of 40 held-out items were evaluated before" in found.text and "cannot promote" in found.text
        )
        assert not list(look_findings(store, made, TASK, []))
    with open_store("sqlite://") as fresh:
        told, found = look_findings(fresh, made, TASK, samples)
    assert (told.check, told.outcome, found.outcome) == ("evaluations elsewhere", "warn", "ok")
    assert told.text.startswith("This machine knows of 1 earlier evaluation of about 100% of these items")


def test_answers_that_were_scored_before_the_incumbents_are_not_spent(tmp_path):
    """Compared now they are the first look: it was warned that nothing could promote, and no mixture was looked at."""
    samples = [sample(number) for number in range(40)]
    made = make_dataset(tmp_path, samples, train=samples[:1])

    def alone(id, answers):
        look = look_at(samples, evaluation_id=id, dataset_id=made.id, names=("i", "c"), alpha=TASK.alpha)
        return msgspec.structs.replace(look, answers=answers, alone=True)

    with open_store(f"sqlite:///{tmp_path / 's.sqlite'}") as store:
        Looks(store).take(alone("e1", "a1"))
        (found,) = look_findings(store, made, TASK, samples)
        assert (
            found.outcome == "ok"
            and "other answers are a further evaluation and cannot promote" in found.text
        )
        Looks(store).take(alone("e2", "a2"))
        (found,) = look_findings(store, made, TASK, samples)
        assert found.outcome == "warn"
