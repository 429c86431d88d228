"""Regrading real outputs: the numeric scorer agrees with the published correctness on every one."""

import asyncio
import json

import pytest

from freehold.evals.scorers import make
from freehold.types.dataset import Sample

MODELS = ("6b_finetuning", "6b_verification", "175b_finetuning", "175b_verification")


@pytest.fixture(scope="module")
def solutions(shared_data):
    lines = (shared_data("gsm8k") / "example_model_solutions.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def test_all_5276_grades_agree_with_the_published_ones(solutions):
    scorer = make("numeric", {"after": "A:", "take": "only"})
    sample = Sample(id="s", messages=())

    async def disagreements():
        found = []
        for row in solutions:
            for model in MODELS:
                given = await scorer.score(sample, row[model]["solution"], row["ground_truth"])
                if (given.value == 1.0) is not row[model]["is_correct"]:
                    found.append((model, row["question"], given))
        return found

    assert len(solutions) * len(MODELS) == 5276
    assert asyncio.run(disagreements()) == []


def test_solutions_without_an_answer_are_format_failures(solutions):
    scorer = make("numeric", {"after": "A:", "take": "only"})
    cut = [row[model] for row in solutions for model in MODELS if "A:" not in row[model]["solution"]]
    given = [asyncio.run(scorer.score(Sample(id="s", messages=()), one["solution"], "A: 1")) for one in cut]
    assert len(given) == 11
    assert not any(one.format_ok for one in given)
