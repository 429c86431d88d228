"""How many training samples until a candidate passes, over curves that are known."""

import pytest
from tests.workflows.prove.preflight.held_out import dataset, sample

from freehold.errors import UsageError
from freehold.stats.power import difference_for
from freehold.store import open_store
from freehold.types.training import CurveRun, TrainingCurve
from freehold.workflows.project import open_project
from freehold.workflows.prove.power import PowerTarget
from freehold.workflows.prove.task import task_of
from freehold.workflows.prove.training_need import NeedAssumptions, project_need, training_need

TARGET = PowerTarget(margin=0.05)


def truth(samples):
    return 0.95 - 4.0 * samples**-0.6


def curve(accuracy=truth, asked=100_000, **more):
    runs = tuple(
        CurveRun(samples=n, right=round(asked * accuracy(n)), asked=asked, seconds=1.0, adapter_id="a")
        for n in (125, 250, 500, 1000)
    )
    known = {"id": "c", "base_model": "m", "dataset_id": "d", "ceiling": 0.0, "scale": 0.0, "rate": 0.0}
    ends = {"fits": True, "twice_samples": 0, "twice_accuracy": 0.0, "twice_low": 0.0, "twice_high": 0.0}
    return TrainingCurve(runs=runs, **(known | ends | more))


def test_it_passes_where_the_curve_reaches_what_the_held_out_items_promote():
    found = training_need(curve(), TARGET, held_out=400, incumbent_rate=0.92)
    assert found.difference == difference_for(400, discordance=0.05, margin=0.05)
    assert found.accuracy == 0.92 + found.difference
    assert truth(found.samples) == pytest.approx(found.accuracy, abs=0.005)
    assert found.low <= found.samples <= found.high
    assert (found.trained, found.reached) == (1000, pytest.approx(truth(1000), abs=1e-5))


def test_more_held_out_items_need_fewer_training_samples():
    few, many = (training_need(curve(), TARGET, held_out=n, incumbent_rate=0.94) for n in (300, 3000))
    assert many.accuracy < few.accuracy
    assert many.samples < few.samples


def test_what_the_curve_never_reaches_is_said():
    found = training_need(curve(), TARGET, held_out=400, incumbent_rate=0.995)
    assert found.samples is None
    assert found.farthest == 8000


def test_where_no_accuracy_passes_held_out_items_are_missing_and_not_samples():
    with pytest.raises(UsageError, match="no accuracy is promoted"):
        training_need(curve(), PowerTarget(margin=0.02), held_out=40, incumbent_rate=0.9)


@pytest.fixture
def project(tmp_path):
    (tmp_path / "freehold.toml").write_text(
        '[app]\nname = "inbox"\n[task]\nscorer = "exact"\nmargin = 0.05\n'
    )
    return open_project(tmp_path / "freehold.toml")


def with_curve(project, tmp_path, *, gold):
    held_out = [sample(n, gold=gold, incumbent="no" if n % 10 == 0 else "yes") for n in range(400)]
    made = dataset(tmp_path, train=held_out[:2], held_out=held_out)
    with open_store(project.store_url) as store:
        store.put(made)
        store.put(curve(dataset_id=made.id))


def test_a_project_knows_its_held_out_items_and_its_incumbent(project, tmp_path):
    task = task_of(project)
    with pytest.raises(UsageError, match="no learning curve"):
        project_need(project, TARGET, task, NeedAssumptions())
    with_curve(project, tmp_path, gold="yes")
    found = project_need(project, TARGET, task, NeedAssumptions())
    assert (found.held_out, found.incumbent_rate) == (400, 0.9)
    given = project_need(project, TARGET, task, NeedAssumptions(900, 0.7, 0.1))
    assert (given.held_out, given.incumbent_rate, given.discordance) == (900, 0.7, 0.1)


def test_an_incumbent_that_cannot_be_scored_is_asked_for(project, tmp_path):
    with_curve(project, tmp_path, gold=None)
    with pytest.raises(UsageError, match="how right the incumbent is") as error:
        project_need(project, TARGET, task_of(project), NeedAssumptions())
    assert "--incumbent-rate" in error.value.hint
