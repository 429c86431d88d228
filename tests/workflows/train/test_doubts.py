"""Labels a trained model doubts, joined with what was asked and what the incumbent said."""

import math

import pytest
from click.testing import CliRunner
from tests.workflows.data.test_dataset import fill, project_of, question, trace
from tests.workflows.train.test_adapters import manifest

from freehold import training
from freehold.cli.main import cli
from freehold.errors import UsageError
from freehold.store import open_store
from freehold.training import loss_history
from freehold.types.training import Learned
from freehold.workflows.data import dataset as datasets
from freehold.workflows.train.doubts import doubts


def learned(samples, losses):
    return [
        Learned(sample_id=sample.id, loss=loss, tokens=2, looks=2)
        for sample, loss in zip(samples, losses, strict=True)
    ]


@pytest.fixture
def made(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "freehold.toml").write_text('[app]\nname = "shop"\n')

    def make(golds):
        project = project_of(tmp_path)
        fill(project, [trace(n, question(n), gold=golds(n), incumbent="yes") for n in range(60)])
        dataset = datasets.build(project)
        samples = list(training.read_samples(dataset, "train"))
        adapter = manifest(project.state / "adapters" / "shop-1", name="shop", dataset_id=dataset.id)
        with open_store(project.store_url) as store:
            store.put(adapter)
        return project, adapter, samples

    return make


def test_labels_less_likely_than_even_are_listed_worst_first(made):
    project, _, samples = made(lambda n: "yes" if n % 2 else "no")
    losses = [math.log(4) if n == 5 else math.log(8) if n == 9 else 0.01 for n in range(len(samples))]
    found = learned(samples, losses)
    loss_history.write(project.state / "adapters" / "shop-1", sorted(found, key=lambda one: -one.loss))
    listed = doubts(project)
    assert listed.labels and listed.found == 2 and listed.samples == len(samples)
    assert [one.sample_id for one in listed.doubts] == [samples[9].id, samples[5].id]
    assert [one.probability for one in listed.doubts] == [pytest.approx(1 / 8), pytest.approx(1 / 4)]
    assert listed.doubts[0].question in question_texts(samples)
    assert {one.incumbent for one in listed.doubts} == {None}, (
        "a wrong answer of the incumbent is not kept to learn from"
    )
    shown = CliRunner().invoke(cli, ["dataset", "doubts", "--most", "1"])
    assert shown.exit_code == 0, shown.output
    assert "2 of" in shown.output and "12.5%" in shown.output and "and 1 more" in shown.output


def question_texts(samples):
    return {sample.messages[-1].content for sample in samples}


def test_free_answers_are_only_ranked_by_token(made):
    project, _, samples = made(lambda n: f"an answer of its own, number {n}")
    found = learned(samples, [float(n) for n in range(len(samples))])
    loss_history.write(project.state / "adapters" / "shop-1", found[::-1])
    listed = doubts(project, "shop")
    assert not listed.labels and listed.found == 1
    assert listed.doubts[0].sample_id == samples[-1].id
    assert listed.doubts[0].probability == pytest.approx(math.exp(-(len(samples) - 1) / 2))


def test_an_adapter_without_notes_says_what_to_do(made):
    project, _, _ = made(lambda n: "yes" if n % 2 else "no")
    with pytest.raises(UsageError, match="noted nothing") as error:
        doubts(project)
    assert "train again" in error.value.hint


def test_no_adapter_yet(tmp_path):
    with pytest.raises(UsageError, match="no adapter yet"):
        doubts(project_of(tmp_path))


def test_a_model_that_learned_nothing_doubts_everything_and_that_is_said(made):
    project, _, samples = made(lambda n: "yes" if n % 2 else "no")
    loss_history.write(project.state / "adapters" / "shop-1", learned(samples, [3.0] * len(samples)))
    shown = CliRunner().invoke(cli, ["dataset", "doubts"])
    assert shown.exit_code == 0, shown.output
    assert "has learned too little" in shown.stderr
