"""Parity: what is compared, what it concludes, and the real thing on real weights."""

import json

import anyio
import msgspec
import pytest
from click.testing import CliRunner
from tests.workflows.train.test_adapters import manifest

from freehold.cli.main import cli
from freehold.engines.transcript import Transcript
from freehold.store import open_store
from freehold.training.reference import ReferenceScores
from freehold.types.dataset import Message, Sample
from freehold.types.endpoint import ServePlan
from freehold.types.evaluation import Task
from freehold.types.model import Weights
from freehold.types.progress import Silent
from freehold.workflows.project import open_project
from freehold.workflows.prove import parity as workflow
from freehold.workflows.prove.parity import score_parity
from freehold.workflows.prove.parity_judging import compare, summarize


def served(**changes):
    base = Transcript(
        prompt_ids=(1, 5, 6),
        prompt_tokens=3,
        text="a b",
        answer_ids=(7, 8, 2),
        logprobs=(-0.1, -0.2, -0.01),
        finish_reason="stop",
    )
    return msgspec.structs.replace(base, **changes)


def trained(**changes):
    base = ReferenceScores(
        id="s",
        prompt_ids=(1, 5, 6),
        prompt_tokens=("<bos>", "five", "six"),
        bos_id=1,
        answer_ids=(7, 8),
        logprobs=(-0.1, -0.3),
        base_logprobs=(),
        best_ids=(7, 8),
        ends=True,
    )
    return msgspec.structs.replace(base, **changes)


def report(*pairs, has_adapter=False):
    items = [compare(a, b) for a, b in pairs]
    return summarize(items, model="m", engine="llamacpp", adapter_id=None, has_adapter=has_adapter)


def test_equal_sides_pass():
    found = report((served(), trained()), (served(finish_reason="length"), trained()))
    assert found.passed and found.causes == ()
    assert (found.prompts_equal, found.token_agreement) == (2, 1.0)
    assert found.distance == pytest.approx(0.05)
    assert (found.stops_equal, found.stops) == (1, 1)
    assert found.check_result().ok is True


def test_other_prompt_ids_are_the_template():
    found = report((served(prompt_ids=(1, 9, 6)), trained()))
    assert found.causes == ("template",)
    assert "token 1 (five trained, 9 served)" in found.reasons[0]
    assert found.check_result().ok is False and "not served as trained" in found.check_result().text


@pytest.mark.parametrize(
    ("their_ids", "our_ids"), [((1, 1, 5, 6), (5, 6)), ((5, 6), (1, 5, 6)), ((1, 5, 6), (5, 6))]
)
def test_a_missing_or_doubled_bos_is_named(their_ids, our_ids):
    names = tuple(str(one) for one in our_ids)
    found = report((served(prompt_ids=their_ids), trained(prompt_ids=our_ids, prompt_tokens=names)))
    assert found.causes == ("bos",)


def test_a_template_without_the_token_that_begins_the_other_is_a_template():
    other = report((served(prompt_ids=(9, 5, 8, 8)), trained(prompt_ids=(1, 5, 6))))
    assert other.causes == ("template",), "more than the first token differs"


def test_an_engine_that_tells_only_a_count():
    assert report((served(prompt_ids=None), trained())).passed
    found = report((served(prompt_ids=None, prompt_tokens=9), trained()))
    assert found.causes == ("template",) and "9 tokens served" in found.reasons[0]


def test_an_adapter_that_is_not_on():
    found = report(
        (served(), trained(logprobs=(-3.0, -4.0), base_logprobs=(-0.1, -0.2), best_ids=(1, 1))),
        has_adapter=True,
    )
    assert found.causes == ("adapter_not_applied",)


def test_an_adapter_of_the_wrong_scale_lies_between():
    found = report((served(), trained(logprobs=(-0.9, -1.0), base_logprobs=(-1.6, -1.7))), has_adapter=True)
    assert found.causes == ("adapter_scale",)


def test_other_numbers():
    assert report((served(), trained(logprobs=(-0.5, -0.9)))).causes == ("numbers",)
    disagree = [(served(), trained(best_ids=(7, 1)))] * 10
    assert report(*disagree).causes == ("numbers",), "half of twenty tokens"


def test_a_few_near_ties_are_no_other_numbers():
    same, tie = (served(), trained()), (served(), trained(best_ids=(7, 1)))
    assert report(*[same] * 32, *[tie] * 5).passed, "69 of 74, measured with equal weights"
    assert report(*[same] * 32, *[tie] * 9).causes == ("numbers",), "73 of 82 is not chance"
    untold = (served(logprobs=None), trained(best_ids=(7, 1)))
    assert report(*[same] * 32, *[tie] * 4, untold).passed
    silent = (served(logprobs=None), trained())
    assert report(*[silent] * 32, *[untold] * 5).causes == ("numbers",), "nothing else speaks for them"


def test_turns_that_end_elsewhere():
    assert report((served(), trained(ends=False))).causes == ("stop",)


def test_what_was_merged_is_compared_with_what_was_trained(tmp_path, monkeypatch):
    monkeypatch.setenv("FREEHOLD_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    project = open_project()
    earlier, adapter, other = (
        manifest(tmp_path / name, id=name, base_model=base)
        for name, base in (("first", "test/tiny"), ("second", "test/tiny"), ("third", "test/other"))
    )
    plan = ServePlan(engine="llamacpp", model="test/tiny:shop", weights_path="/merged.gguf")
    with open_store(project.store_url) as store:
        for one in (earlier, adapter, other):
            store.put(one)
        store.put(plan)
    asked = {}
    weights = Weights(
        model_id="test/tiny", format="gguf", quantization="Q8_0", bytes=1, sha256="b" * 64, source="file:"
    )
    monkeypatch.setattr(
        workflow, "ensure_weights", lambda name, *_, **__: asked.setdefault("model", name) and weights
    )
    monkeypatch.setattr(workflow, "parity", lambda project, **more: asked.update(more))
    workflow.project_parity(project, model=None, adapter=None, count=2, progress=Silent())
    assert asked["model"] == "test/tiny", "the base, for there is nothing to pull under the other name"
    assert (asked["plan"].model, asked["adapter_path"]) == ("test/tiny:shop", adapter.path)


def test_silence_is_no_parity():
    nothing = served(answer_ids=(), logprobs=None, text="")
    found = report((nothing, trained(answer_ids=(), logprobs=(), best_ids=())))
    assert not found.passed


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
        [compare(served(), trained())],
        model="m",
        engine="llamacpp",
        adapter_id=None,
        has_adapter=True,
        score=score,
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
