import msgspec
import pytest
from tests.workflows.prove.test_evaluate import make_dataset

from freehold.errors import StorageError
from freehold.evals.comparing import SideBySide, summarize
from freehold.evals.frozen import FrozenAnswers, write_frozen
from freehold.settings import load as load_settings
from freehold.store import open_store
from freehold.types.config_file import parse
from freehold.types.dataset import Message, Sample
from freehold.types.evaluated import Evaluation, ItemResult
from freehold.types.evaluation import EvalResult, Score, Task
from freehold.workflows.project import Project
from freehold.workflows.prove.results import (
    evaluation_id,
    frozen_answers,
    frozen_file,
    keep,
    measured,
    write_results,
)

TASK = Task(name="t", scorer="label")


def results_of(values, output="yes"):
    return [
        EvalResult(sample_id=f"s{i}", model="m", output=output, score=Score(value=value))
        for i, value in enumerate(values)
    ]


def side_by_side(*candidate, output="yes"):
    samples = [
        Sample(id=f"s{i}", messages=(Message(role="user", content="q"),)) for i in range(len(candidate))
    ]
    return SideBySide(
        samples,
        ["yes"] * len(samples),
        results_of([1.0] * len(samples)),
        results_of(candidate, output),
        "a",
        "b",
    )


def test_the_id_follows_from_answers_and_scores_alone():
    one = evaluation_id("items", TASK, side_by_side(1.0, 0.0))
    assert evaluation_id("items", TASK, side_by_side(1.0, 0.0)) == one
    assert evaluation_id("items", TASK, side_by_side(1.0, 1.0)) != one
    assert evaluation_id("items", TASK, side_by_side(1.0, 0.0, output="no")) != one
    assert evaluation_id("others", TASK, side_by_side(1.0, 0.0)) != one


def test_more_human_labels_are_another_evaluation(tmp_path):
    """They were the same look again: a judge's correction could be had again and again until it passed."""
    path = tmp_path / "labels.jsonl"

    def id_with(options, *lines):
        path.write_text("".join(line + "\n" for line in lines))
        judged = Task(name="t", scorer="judge", options={"model": "j", **options})
        return evaluation_id("items", judged, side_by_side(1.0, 0.0))

    first, labels = '{"id": "s0", "winner": "tie"}', {"human_labels": str(path)}
    one = id_with(labels, first)
    assert id_with(labels, '{"id": "s0", "winner": "tie", "seconds": 4.0}') == one
    more = id_with(labels, first, '{"id": "s1", "winner": "candidate"}')
    assert more != one != id_with(labels, '{"id": "s0", "winner": "candidate"}')
    assert id_with({}, first) == id_with({})


def test_scores_of_0_and_1_get_wilsons_interval():
    found = measured(results_of([1.0] * 8 + [0.0] * 2 + [None]), 0.025)
    assert (found.n, found.mean, found.method) == (10, 0.8, "wilson")
    # Wilson 1927 for 8 of 10 at 95 %.
    assert (found.ci_low, found.ci_high) == pytest.approx((0.4902, 0.9433), abs=1e-4)


def test_other_scores_get_students_t():
    found = measured(results_of([0.2, 0.4, 0.6]), 0.025)
    assert found.method == "t"
    # 0.4 ± t(0.975, 2) · 0.2 / √3
    assert (found.ci_low, found.ci_high) == pytest.approx(
        (0.4 - 4.3027 * 0.11547, 0.4 + 4.3027 * 0.11547), abs=1e-4
    )


def test_results_are_written_a_line_a_sample(tmp_path):
    path = write_results(tmp_path / "deep" / "r.jsonl", side_by_side(1.0, 0.0))
    lines = [msgspec.json.decode(line, type=ItemResult) for line in path.read_bytes().splitlines()]
    assert [line.candidate.score.value for line in lines] == [1.0, 0.0]
    with pytest.raises(StorageError, match="results cannot be written"):
        write_results(path / "below_a_file.jsonl", side_by_side(1.0))


@pytest.fixture
def project(tmp_path):
    config = parse('[app]\nname = "t"\n')
    return Project(tmp_path, config, load_settings({"FREEHOLD_HOME": str(tmp_path / "home")}), None)


def test_frozen_answers_are_read_by_dataset(project, tmp_path):
    samples = [Sample(id="s0", messages=(Message(role="user", content="q"),))]
    dataset = make_dataset(tmp_path, samples)
    assert frozen_answers(project, dataset) == {}
    write_frozen(frozen_file(project, dataset.id), [FrozenAnswers(sample_id="s0", answers=("yes", "no"))])
    assert frozen_answers(project, dataset) == {"s0": ("yes", "no")}


def evaluation(id, dataset_id):
    return Evaluation(
        id=id,
        task=TASK,
        dataset_id=dataset_id,
        incumbent="a",
        candidate="b",
        endpoint="files",
        comparison=None,
        measured=measured([], 0.025),
        references="gold",
        latency=summarize([], concurrency=1),
    )


def test_an_evaluation_that_is_there_keeps_its_place(project):
    with open_store(project.store_url) as store:
        for id in ("e1", "e2", "e1"):
            keep(store, evaluation(id, "d"))
        assert [one.id for one in store.records(Evaluation)] == ["e1", "e2"]
