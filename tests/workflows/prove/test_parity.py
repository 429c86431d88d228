"""Parity of a project's model, of scores, and the real thing on real weights."""

import json

import anyio
import pytest
from click.testing import CliRunner
from tests.workflows.prove.test_parity_judging import served, trained

from freehold.cli.main import cli
from freehold.progress import Silent
from freehold.store import open_store
from freehold.types.dataset import Message, Sample
from freehold.types.endpoint import ServePlan
from freehold.types.evaluation import Task
from freehold.types.gates import ParityReport
from freehold.types.model import Weights
from freehold.workflows.project import open_project
from freehold.workflows.prove import parity as workflow
from freehold.workflows.prove.parity import score_parity
from freehold.workflows.prove.parity_judging import ServedAs, compare, summarize


@pytest.mark.parametrize(
    ("unlike", "asked", "ends"),
    [
        ((), 40, "enough"),
        ((3,), 80, "enough"),
        (range(7, 120, 18), 120, "undecided"),
        ((0, 1), 40, "too few"),
    ],
)
def test_prompts_are_asked_until_it_is_decided_where_turns_end(tmp_path, monkeypatch, unlike, asked, ends):
    """One of eight that ends elsewhere was a hold; now it asks for more."""
    monkeypatch.setenv("FREEHOLD_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    batches = []

    def both(project, plan, weights, adapter_path, samples, scored, progress):
        batches.append(len(samples))
        return [served()] * len(samples), [trained(ends=int(one.id) not in unlike) for one in samples]

    monkeypatch.setattr(workflow, "_both", both)
    project = open_project()
    report = workflow.parity(
        project,
        plan=ServePlan(engine="llamacpp", model="test/tiny", weights_path="/x.gguf"),
        weights=Weights(
            model_id="test/tiny", format="gguf", quantization="Q8_0", bytes=1, sha256="b" * 64, source="file:"
        ),
        adapter_path=None,
        samples=[Sample(id=str(n), messages=()) for n in range(workflow.MOST_PROMPTS)],
        progress=Silent(),
    )
    assert (sum(batches), report.prompts, report.ends) == (asked, asked, ends)
    assert report.passed == (ends != "too few")
    with open_store(project.store_url) as store:
        assert store.latest(ParityReport) == report


LABELS = Task(name="t", scorer="label", margin=0.02, alpha=0.025, options={"labels": ["a", "b"]})


def scores(pairs, gold="a"):
    """Score parity of (served, trained) texts that all have the same right answer."""
    samples = [
        Sample(id=str(n), messages=(Message(role="user", content="?"),), gold=gold) for n in range(len(pairs))
    ]
    ours = [served(text=one) for one, _ in pairs]
    theirs = [trained(own_text=other) for _, other in pairs]
    return anyio.run(score_parity, LABELS, samples, ours, theirs)


def test_answers_of_both_sides_are_scored_in_pairs():
    found = scores([("a", "a")] * 9 + [("b", "a")])
    assert (found.n, found.served_mean, found.trained_mean) == (10, 0.9, 1.0)
    assert found.difference == pytest.approx(-0.1)
    assert found.ci_low < -0.1 < found.ci_high


def test_nothing_is_scored_without_a_reference_or_the_trainers_answer():
    assert scores([("a", "a")], gold=None) is None
    assert scores([("a", None)]) is None


def test_a_score_that_fell_in_serving_fails():
    score = scores([("b", "a")] * 20)
    found = summarize(
        [compare(served(), trained())], ServedAs("m", "llamacpp", has_adapter=True), score=score
    )
    assert found.causes == ("score",)
    assert "fell from 100.0% to 0.0%" in found.reasons[0]


@pytest.mark.weights
@pytest.mark.timeout(400)
def test_the_real_model_is_served_as_it_is_trained(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(cli, ["parity", "--samples", "2", "--json"])
    found = json.loads(result.stdout)
    assert result.exit_code == 0, found["reasons"]
    assert found["prompts_equal"] == 2
    assert found["token_agreement"] > 0.85, "of a few dozen tokens; near ties fall either way, by processor"
    assert 0 < found["distance"] < 0.15
