"""Frozen answers, and the scoring of many."""

import asyncio

import msgspec
import pytest

from freehold.errors import InputError, StorageError
from freehold.evals.frozen import (
    FrozenAnswers,
    frozen_answer,
    read_frozen,
    self_noise,
    with_frozen,
    write_frozen,
)
from freehold.evals.scorer import ChatAnswer, Scorer, right
from freehold.evals.scorers import make, score_all, scored
from freehold.types.dataset import Sample


def sample(id, **fields):
    return Sample(id=id, messages=(), **fields)


def test_a_file_of_frozen_answers_is_read_as_it_was_written(tmp_path):
    path = tmp_path / "frozen" / "held_out.jsonl"
    assert read_frozen(path) == {}
    write_frozen(
        path, [FrozenAnswers(sample_id="a", answers=("yes", "no")), FrozenAnswers(sample_id="b", answers=())]
    )
    assert read_frozen(path) == {"a": ("yes", "no"), "b": ()}
    assert [one.name for one in path.parent.iterdir()] == ["held_out.jsonl"]
    path.write_text("nonsense\n")
    with pytest.raises(StorageError, match="cannot be read"):
        read_frozen(path)


def test_an_answer_fills_a_gap_and_further_ones_are_repeats():
    samples = [sample("a"), sample("b", incumbent="own"), sample("c")]
    filled, repeats = with_frozen(samples, {"a": ("first", "second"), "b": ("again",)})
    assert [one.incumbent for one in filled] == ["first", "own", None]
    assert repeats == {"a": ("second",), "b": ("again",)}


def test_without_gold_another_answer_than_the_reference_is_scored():
    known = sample("a", incumbent="first")
    assert frozen_answer(known, {"a": ("second",)}).output == "second"
    assert frozen_answer(known, {}).output == "first"
    assert frozen_answer(msgspec.structs.replace(known, gold="g"), {"a": ("second",)}).output == "first"
    missing = frozen_answer(sample("b"), {})
    assert (missing.output, missing.fault) == (None, "infrastructure")
    assert missing.error.startswith("no_frozen_answer")


def test_self_noise_is_the_share_of_samples_scored_differently():
    samples = [
        sample("same", incumbent="yes", gold="yes"),
        sample("differs", incumbent="yes", gold="yes"),
        sample("once", incumbent="yes", gold="yes"),
        sample("no gold", incumbent="yes"),
    ]
    repeats = {"same": ("yes",), "differs": ("no",), "no gold": ("yes", "no")}
    scorer = make("exact")
    assert asyncio.run(self_noise(scorer, samples, repeats)) == pytest.approx(2 / 3)
    assert asyncio.run(self_noise(scorer, samples, {})) is None


SAMPLE = Sample(id="s", messages=())


class Counting(Scorer):
    """Counts how many answers it holds at a time."""

    name = "counting"
    binary = True
    needs_reference = False

    def __init__(self, options):
        self.at_once = options["at_once"]
        self.held = self.most = 0
        self.closed = False

    async def score(self, sample, answer, reference):
        self.held += 1
        self.most = max(self.most, self.held)
        await asyncio.sleep(0)
        self.held -= 1
        return right()

    async def close(self):
        self.closed = True


@pytest.mark.parametrize(
    ("answer", "value", "format_ok"),
    [
        (ChatAnswer(output="x"), 1.0, True),
        (ChatAnswer(fault="infrastructure", error="http_500: boom"), None, True),
        (ChatAnswer(output="x", fault="candidate", error="cut: at the limit"), 0.0, False),
    ],
)
def test_a_fault_decides_before_the_scorer_does(answer, value, format_ok):
    scorer = Counting({"at_once": 1})
    result = asyncio.run(scored(scorer, "m", SAMPLE, answer, None))
    assert (result.score.value, result.score.format_ok) == (value, format_ok)
    assert result.score.reason == answer.error
    assert scorer.most == (answer.fault is None)


class Breaking(Counting):
    """Fails on the second answer."""

    async def score(self, sample, answer, reference):
        if answer == "b":
            raise InputError("at fault")
        return await super().score(sample, answer, reference)


def test_what_a_scorer_raises_ends_the_scoring():
    async def go():
        scorer = Breaking({"at_once": 1})
        answers = [ChatAnswer(output=one) for one in "abcd"]
        with pytest.raises(InputError, match="at fault"):
            await score_all(scorer, "m", [SAMPLE] * 4, answers, [None] * 4)
        return len(asyncio.all_tasks())

    assert asyncio.run(go()) == 1
