import asyncio

import msgspec
import pytest

from freehold.errors import StorageError
from freehold.evals.frozen import (
    FrozenAnswers,
    frozen_answer,
    read_frozen,
    references_kind,
    self_noise,
    with_frozen,
    write_frozen,
)
from freehold.evals.scorers import make
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


@pytest.mark.parametrize(
    ("golds", "kind"),
    [(("g", "g"), "gold"), (("g", None), "mixed"), ((None, None), "incumbent")],
)
def test_what_answers_are_compared_with(golds, kind):
    assert references_kind([sample(str(i), gold=gold) for i, gold in enumerate(golds)]) == kind
