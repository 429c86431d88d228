import msgspec
from tests.workflows.prove.held_out import make_dataset, sample

from freehold.stats.looks import LookPlan
from freehold.store import open_store
from freehold.types.evaluation import Task
from freehold.workflows.prove.looks import Looks, look_at
from freehold.workflows.prove.preflight.spent import look_findings

TASK = Task(name="t", scorer="label", margin=0.05)


def test_a_spent_error_is_told_and_a_planned_look_is_not(tmp_path):
    samples = [sample(number) for number in range(40)]
    made = make_dataset(tmp_path, samples, train=samples[:1])
    with open_store(f"sqlite:///{tmp_path / 's.sqlite'}") as store:
        (found,) = look_findings(store, made, TASK, samples)
        assert (found.outcome, found.text) == ("ok", "look 1 at these items, 1 planned")
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
    assert (told.check, told.outcome, found.outcome) == ("looks elsewhere", "warn", "ok")
    assert told.text.startswith("This machine knows of 1 earlier look at about 100% of these items")


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
        assert found.outcome == "ok" and "other answers are a further look and cannot promote" in found.text
        Looks(store).take(alone("e2", "a2"))
        (found,) = look_findings(store, made, TASK, samples)
        assert found.outcome == "warn"
