import asyncio
import json
from pathlib import Path

import msgspec
import pytest
from aiohttp import web
from tests.datasets.test_card import CARD
from tests.engines.conftest import serving
from tests.workflows.prove.held_out import make_dataset

from freehold.errors import ConfigError, UsageError
from freehold.evals.client import Patience
from freehold.evals.replay import ReplayOptions
from freehold.types.dataset import Message, Sample
from freehold.types.endpoint import Capabilities, Endpoint
from freehold.types.evaluated import Evaluation, ItemResult
from freehold.types.evaluation import Task
from freehold.workflows.data.curate import write_card
from freehold.workflows.prove.evaluate import EvaluationPlan, ServedCandidate, evaluate

QUICK = Patience(attempts=2, first_wait_seconds=0.01)


def sample(i, **fields):
    return Sample(
        id=f"s{i:04}",
        messages=(Message(role="user", content=f"q {i}"),),
        **{"gold": "yes", "incumbent": "yes"} | fields,
    )


def run(tmp_path, held_out, reply, *, task=None, concurrency=4, fresh=False, untrained=(None, 0), **plan):
    dataset = make_dataset(tmp_path, held_out)

    async def handle(request):
        body = await request.json()
        said = reply(int(body["messages"][-1]["content"].split()[-1]), body["model"])
        if isinstance(said, web.Response):
            return said
        return web.json_response({"choices": [{"message": {"content": said}, "finish_reason": "stop"}]})

    async def go():
        async with serving(handle) as url:
            capabilities = Capabilities(streaming=False)
            endpoint = Endpoint(name="e", engine="echo", base_url=url, capabilities=capabilities)
            return await evaluate(
                EvaluationPlan(
                    dataset=dataset, task=task or Task(name="t", scorer="label", margin=0.05), **plan
                ),
                ServedCandidate(endpoint, "cand", *untrained),
                cache_dir=tmp_path / "evaluations",
                options=ReplayOptions(concurrency, patience=QUICK),
                fresh=fresh,
            )

    return asyncio.run(go())


def test_an_equal_candidate_is_promoted(tmp_path):
    made = run(tmp_path, [sample(i) for i in range(200)], lambda i, model: "yes")
    assert made.comparison.verdict == "promote"
    assert made.comparison.n == 200
    assert made.comparison.ci_low < 0 < made.comparison.ci_high
    assert (made.incumbent, made.candidate, made.references) == ("gpt-x", "cand", "gold")
    assert made.latency.n == 200
    assert made.disagreements == ()
    assert msgspec.json.decode(msgspec.json.encode(made), type=Evaluation) == made


def test_a_bad_candidate_is_rejected_with_its_losses_shown(tmp_path):
    made = run(tmp_path, [sample(i) for i in range(100)], lambda i, model: "no" if i % 2 else "yes")
    assert made.comparison.verdict == "reject"
    assert made.comparison.a_only == 50
    assert made.disagreements_total == 50
    first = made.disagreements[0]
    assert (first.incumbent_answer, first.candidate_answer, first.reference) == ("yes", "no", "yes")
    lines = [
        msgspec.json.decode(line, type=ItemResult)
        for line in Path(made.results_file).read_bytes().splitlines()
    ]
    assert len(lines) == 100
    assert lines[1].candidate.score.reason == "wrong_label: no"


def test_a_third_unscored_cannot_be_promoted(tmp_path):
    def reply(i, model):
        return web.Response(status=500) if i % 3 == 0 else "yes"

    made = run(tmp_path, [sample(i) for i in range(180)], reply, concurrency=30)
    assert made.comparison.verdict == "hold"
    assert "unscored_pairs_could_hide_harm" in made.comparison.reasons
    assert made.comparison.unscored["candidate_only"] == 60
    assert made.comparison.lower_worst < -0.3
    assert any("60 http_500" in note for note in made.comparison.notes)


def test_without_gold_the_incumbents_answer_is_the_reference_and_it_is_said(tmp_path):
    made = run(tmp_path, [sample(i, gold=None) for i in range(60)], lambda i, model: "yes")
    assert made.references == "incumbent"
    assert made.comparison.incumbent_mean == 1.0
    assert "right by construction" in made.comparison.notes[0]
    made = run(
        tmp_path / "b", [sample(i, gold=None if i else "yes") for i in range(60)], lambda i, model: "yes"
    )
    assert made.references == "mixed"


def test_nothing_frozen_is_an_error(tmp_path):
    with pytest.raises(UsageError, match="no held-out sample has an answer"):
        run(tmp_path, [sample(i, incumbent=None) for i in range(3)], lambda i, model: "yes")


def test_items_without_a_frozen_answer_are_unscored(tmp_path):
    held_out = [sample(i, incumbent=None if i < 5 else "yes") for i in range(60)]
    made = run(tmp_path, held_out, lambda i, model: "yes")
    assert made.comparison.unscored["incumbent_only"] == 5
    assert any("5 no_frozen_answer" in note for note in made.comparison.notes)


def test_format_failures_stand_apart(tmp_path):
    task = Task(name="t", scorer="json_fields", margin=0.05)
    gold = json.dumps({"a": 1})
    made = run(
        tmp_path,
        [sample(i, gold=gold, incumbent=gold) for i in range(40)],
        lambda i, model: "oops" if i < 7 else '{"a": 2}' if i < 10 else gold,
        task=task,
    )
    assert made.comparison.candidate_format_failures == 7
    assert made.comparison.a_only == 10
    assert made.disagreements[0].parts == {"a": 0.0}


def test_groups_cluster_and_slices_are_reported(tmp_path):
    held_out = [
        sample(i, group=f"c{i // 4}", metadata={"language": "de" if i % 2 else "en"}) for i in range(160)
    ]
    task = Task(name="t", scorer="label", margin=0.05, slices=("language", "length", "label"))
    made = run(tmp_path, held_out, lambda i, model: "no" if i % 2 else "yes", task=task)
    assert made.comparison.n_groups == 40
    harmed = [part for part in made.comparison.slices if part.harmed]
    assert any("de" in part.name for part in harmed)
    with pytest.raises(ConfigError, match="slice langauge: no held-out sample has it"):
        run(
            tmp_path,
            held_out,
            lambda i, model: "yes",
            task=Task(name="t", scorer="label", slices=("langauge",)),
        )


def test_the_untrained_base_is_asked_too(tmp_path):
    made = run(
        tmp_path,
        [sample(i) for i in range(30)],
        lambda i, model: "yes" if model == "cand" else "no",
        untrained=("base", 10),
    )
    assert (made.untrained.n, made.untrained.mean) == (10, 0.0)


def test_a_second_run_asks_nobody_and_says_the_same(tmp_path):
    held_out = [sample(i) for i in range(30)]
    first = run(tmp_path, held_out, lambda i, model: "yes")
    asked = []
    second = run(tmp_path, held_out, lambda i, model: asked.append(i) or "no")
    assert not asked
    assert second.comparison == first.comparison
    assert second.from_cache == 30
    third = run(tmp_path, held_out, lambda i, model: "no", fresh=True)
    assert third.comparison.verdict == "reject"


def test_repeats_of_the_incumbent_make_a_comparison_without_gold_fair(tmp_path):
    held_out = [sample(i, gold=None) for i in range(80)]
    frozen = {one.id: ("yes", "no" if i < 8 else "yes") for i, one in enumerate(held_out)}
    made = run(tmp_path, held_out, lambda i, model: "no" if i >= 72 else "yes", frozen=frozen)
    assert made.comparison.incumbent_mean == 1.0
    frozen = {one.id: ("no" if i < 8 else "yes", "yes") for i, one in enumerate(held_out)}
    made = run(tmp_path / "b", held_out, lambda i, model: "no" if i >= 72 else "yes", frozen=frozen)
    assert made.comparison.incumbent_mean == 0.9
    assert made.comparison.difference == 0.0
    assert made.comparison.self_noise == 0.1
    assert "by another answer of its own" in made.comparison.notes[0]


def test_labels_that_differ_from_those_held_out_are_told_with_the_verdict(tmp_path):
    held_out = [sample(i) for i in range(60)]
    told = "Labels differ between the early half of the log and the late half"
    write_card(
        Path(make_dataset(tmp_path, held_out).path), msgspec.structs.replace(CARD, label_shifts=(told,))
    )
    assert told in run(tmp_path, held_out, lambda i, model: "yes").comparison.notes
