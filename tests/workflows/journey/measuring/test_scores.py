"""What is asked of the selection split, and what is kept of it."""

import anyio
import pytest
from tests.workflows.journey.rehearsal import bench, project

from freehold.engines import start
from freehold.evals.replay import ReplayOptions
from freehold.progress import Silent
from freehold.store import open_store
from freehold.types.evaluated import ItemLook
from freehold.types.evaluation import EvalResult, Score
from freehold.workflows.journey.measuring import SELECTION_SPLIT, score_on_selection, signal_columns
from freehold.workflows.journey.methods import METHODS, candidates
from freehold.workflows.project import open_project
from freehold.workflows.prove.evaluate import EvaluationPlan, ServedCandidate


def measured(opened, folder, *, items):
    async def work():
        async with start(made.plan, log_dir=folder / "logs", name="select") as endpoint:
            return await score_on_selection(
                EvaluationPlan(dataset=ready.dataset, task=ready.task, split=SELECTION_SPLIT),
                ServedCandidate(endpoint, made.plan.served_name),
                items=items,
                cache_dir=folder / "evaluations",
                options=ReplayOptions(made.plan.parallel),
                progress=Silent(),
            )

    with bench(opened) as ready:
        (candidate,) = candidates(opened.config)
        made = METHODS[candidate.method].make(candidate, ready)
        return anyio.run(work)


@pytest.fixture
def opened(tmp_path):
    made = project(tmp_path, lamp="sofa")
    path = made.config_path
    path.write_text(path.read_text().replace("held_out = 0.5", "held_out = 0.5\nvalidation = 0.5"))
    return open_project(path)


def test_it_is_compared_with_the_incumbent_and_no_look_is_counted(opened, tmp_path):
    found = measured(opened, tmp_path, items=1000)
    assert len(found.differences) == found.of == len(found.groups) > 50
    assert found.against == "incumbent" and 0.4 < found.mean < 0.6 < found.incumbent_mean < 1
    assert set(found.differences) <= {-1.0, 0.0, 1.0} and found.seconds_per_request > 0
    with open_store(opened.store_url) as store:
        assert list(store.records(ItemLook)) == []


def test_a_first_part_is_asked_once(opened, tmp_path):
    first = measured(opened, tmp_path, items=20)
    whole = measured(opened, tmp_path, items=40)
    assert (len(first.differences), len(whole.differences)) == (20, 40)
    assert whole.differences[:20] == first.differences
    assert whole.latency.wall_seconds is None, "the first 20 were kept"


def test_without_answers_of_the_incumbent_it_is_compared_with_what_is_right(opened, tmp_path):
    path = opened.config_path
    path.write_text(path.read_text().replace('incumbent = "incumbent"\n', 'incumbent = "nothing"\n'))
    found = measured(open_project(path), tmp_path, items=1000)
    assert (found.against, found.incumbent_mean) == ("right", None)
    assert set(found.differences) == {-1.0, 0.0}


def test_how_sure_the_candidate_was_is_kept_by_signal():
    results = [
        EvalResult(sample_id=str(at), model="m", output="x", score=Score(value=1.0), signals=signals)
        for at, signals in enumerate(
            ({"mean_logprob": -0.5, "min_logprob": -1.0}, {}, {"mean_logprob": -0.1})
        )
    ]
    assert signal_columns(results) == {"mean_logprob": (-0.5, None, -0.1), "min_logprob": (-1.0, None, None)}
