import msgspec
import pytest
from tests.workflows.prove.held_out import make_dataset

from freehold.errors import ConfigError, StorageError, UsageError
from freehold.evals.comparing import SideBySide, summarize
from freehold.evals.frozen import FrozenAnswers, write_frozen
from freehold.settings import load as load_settings
from freehold.stats.power import PLANNING_DISCORDANCES, discordance_upper, rare_loss_n
from freehold.store import open_store
from freehold.types.config_file import parse
from freehold.types.dataset import Message, Sample
from freehold.types.evaluated import Evaluation, ItemResult
from freehold.types.evaluation import EvalResult, Score, Task
from freehold.workflows.project import Project
from freehold.workflows.prove.power import PowerAssumptions, PowerTarget, plan
from freehold.workflows.prove.results import (
    evaluation_id,
    frozen_answers,
    frozen_file,
    keep,
    measured,
    write_results,
)
from freehold.workflows.prove.task import task_of

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


def test_scores_of_0_and_1_get_wilsons_interval_and_others_students_t():
    found = measured(results_of([1.0] * 8 + [0.0] * 2 + [None]), 0.025)
    assert (found.n, found.mean, found.method) == (10, 0.8, "wilson")
    # Wilson 1927 for 8 of 10 at 95 %.
    assert (found.ci_low, found.ci_high) == pytest.approx((0.4902, 0.9433), abs=1e-4)
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
        id=id, task=TASK, dataset_id=dataset_id, incumbent="a", candidate="b", endpoint="files",
        comparison=None, measured=measured([], 0.025), references="gold",
        latency=summarize([], concurrency=1),
    )  # fmt: skip


def test_an_evaluation_that_is_there_keeps_its_place(project):
    with open_store(project.store_url) as store:
        for id in ("e1", "e2", "e1"):
            keep(store, evaluation(id, "d"))
        assert [one.id for one in store.records(Evaluation)] == ["e1", "e2"]


TARGET = PowerTarget(margin=0.02)


def test_what_is_planned_with_where_nothing_or_a_pilot_is_known():
    found = plan(TARGET)
    assert {row.discordance for row in found.rows} == set(PLANNING_DISCORDANCES)
    assert {row.true_difference for row in found.rows} == {0.0, -0.005}
    assert all(row.n > 0 and row.power >= 0.8 and row.power_at_n is None for row in found.rows)
    pilot = plan(TARGET, PowerAssumptions(pilot=(12, 200)))
    assert {row.discordance for row in pilot.rows} == {discordance_upper(12, 200)}
    assert "the pilot's 12 of 200 pairs" in pilot.notes[0]
    both = plan(TARGET, PowerAssumptions(pilot=(12, 200), discordance=0.1))
    assert ({row.discordance for row in both.rows}, both.notes) == ({0.1}, ())


def test_clusters_multiply_items_five_of_each_count_and_too_few_prove_nothing():
    alone = plan(TARGET, PowerAssumptions(discordance=0.1))
    clustered = plan(TARGET, PowerAssumptions(discordance=0.1, cluster_size=4, icc=0.5))
    assert clustered.design_effect == 2.5
    assert clustered.rows[0].n == pytest.approx(2.5 * alone.rows[0].n, abs=3)
    assert clustered.zero_loss_n == 4 * rare_loss_n(TARGET.margin) > 2.5 * alone.zero_loss_n
    assert clustered.notes[0].startswith("Clusters multiply the number of items by 2.50; below 732 items")
    five = plan(TARGET, PowerAssumptions(discordance=0.1, cluster_size=5, icc=0.0))
    ten = plan(TARGET, PowerAssumptions(discordance=0.1, cluster_size=10, icc=0.0), n=100)
    assert ten.design_effect == five.design_effect == 1.0
    assert ten.rows[0].n == pytest.approx(2 * five.rows[0].n, abs=10) and ten.rows[0].power_at_n == 0
    many = plan(TARGET, PowerAssumptions(discordance=0.01, cluster_size=5, icc=0.0))
    assert many.rows[0].n >= many.zero_loss_n == 5 * rare_loss_n(TARGET.margin, TARGET.alpha)


def test_scores_that_are_not_binary_have_no_discordance_and_no_power_below_rare_losses():
    found = plan(TARGET, PowerAssumptions(sd=0.2, true_difference=0.0), n=500)
    (row,) = found.rows
    assert (row.discordance, found.zero_loss_n) == (None, None)
    assert row.n > 500 and row.power_at_n < 0.8
    # 60 items had "a probability of 100 %" at 3 points, and the verdict on them holds whatever they show.
    found = plan(PowerTarget(0.03), PowerAssumptions(sd=0.05, true_difference=0.0), n=60)
    (row,) = found.rows
    assert row.n == 138 and row.power_at_n < 0.01
    assert "with a probability of 0%, and 138 with one of 80%" in found.sentence


def test_a_given_n_gets_its_power_and_a_margin_of_millions_is_refused():
    found = plan(PowerTarget(0.01), PowerAssumptions(discordance=0.1), n=200, self_noise=0.1)
    assert 0 < found.rows[0].power_at_n < 0.8
    assert "pairs to pass against itself" in found.notes[0]
    assert "is not provable with 200 pairs" in found.notes[1]
    with pytest.raises(UsageError, match="margin is 1e-09"):
        plan(PowerTarget(margin=1e-9))


TOML = """
[app]
name = "shop"
[task]
scorer = "label"
margin = 0.03
max_tokens = 12
[task.options]
labels = ["yes", "no"]
"""


@pytest.fixture
def project_of_task(tmp_path):
    return Project(tmp_path, parse(TOML), load_settings({"FREEHOLD_HOME": str(tmp_path / "home")}), None)


def test_the_file_says_what_the_command_line_does_not(project_of_task):
    task = task_of(project_of_task)
    assert (task.name, task.scorer, task.margin, task.max_tokens) == ("shop", "label", 0.03, 12)
    assert task.options == {"labels": ["yes", "no"]}
    task = task_of(project_of_task, margin=0.1, alpha=0.05, options={"default": "no"})
    assert (task.margin, task.alpha) == (0.1, 0.05)
    assert task.options == {"labels": ["yes", "no"], "default": "no"}


def test_a_toml_file_is_taken_whole(project_of_task, tmp_path):
    path = tmp_path / "other.toml"
    path.write_text('[task]\nscorer = "numeric"\nmargin = 0.2\n')
    task = task_of(project_of_task, scorer=str(path))
    assert (task.name, task.scorer, task.margin, task.options) == ("shop", "numeric", 0.2, {})
    with pytest.raises(ConfigError, match=r"none\.toml: cannot be read"):
        task_of(project_of_task, scorer=str(tmp_path / "none.toml"))
    path.write_bytes(b"\xff")
    with pytest.raises(ConfigError, match="not valid UTF-8"):
        task_of(project_of_task, scorer=str(path))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"margin": 0.0}, "margin is 0, expected above 0 and below 1"),
        ({"margin": 1.0}, "margin is 1, expected above 0 and below 1"),
        ({"alpha": 0.5}, "alpha is 0.5, expected between 0 and 0.5"),
    ],
)
def test_a_margin_or_alpha_that_cannot_be(project_of_task, wrong, message):
    with pytest.raises(UsageError, match=message):
        task_of(project_of_task, **wrong)
