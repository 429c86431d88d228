"""Runs of tokens: what training learns is marked, what is too long is cut and counted, what is left out says why."""

import random

import pytest
from tests.training.conftest import make_sample, task_samples, write_dataset

from freehold.training.formatting import format_samples
from freehold.training.token_masks import masking
from freehold.types.config import FinetuneConfig
from freehold.types.dataset import Message
from freehold.types.planning.token_mask import MaskRequest
from freehold.types.planning.training_plan import Piece


@pytest.fixture
def asked(tmp_path, tiny):
    def request(samples, **config):
        dataset = write_dataset(tmp_path / "data", task_samples(4))
        return MaskRequest(
            base=tiny, dataset=dataset, config=FinetuneConfig(**config), samples=tuple(samples)
        )

    return request


def masked(request):
    return masking.masked(*masking.tokenizer_of(request), request)


def learned(sample):
    return "".join(text for run in sample.runs if run.learned for text in run.tokens)


def test_what_is_marked_is_what_training_learns(asked, tokenizer):
    samples = task_samples(3)
    found = masked(asked(samples))
    trained = format_samples(tokenizer, samples, max_tokens=1024).samples
    assert found.left_out == () and found.call_format == "template"
    for one, encoded in zip(found.samples, trained, strict=True):
        assert (one.id, one.tokens, one.learned_tokens) == (encoded.id, len(encoded.ids), sum(encoded.mask))
        targets = [id for id, target in zip(encoded.ids, encoded.mask, strict=True) if target]
        assert learned(one) == tokenizer.decode(targets)
        assert "".join(text for run in one.runs for text in run.tokens) == tokenizer.decode(list(encoded.ids))
    assert learned(found.samples[0]) == "order_status<|im_end|>", "with the special token that ends the turn"


def test_earlier_answers_are_marked_where_they_are_learned(asked):
    turns = tuple(
        Message(role=role, content=text) for role, text in (("user", "a"), ("assistant", "b"), ("user", "c"))
    )
    sample = make_sample(1, "", "d", messages=turns)
    (last,), (all_of_them,) = (masked(asked([sample], train_on=how)).samples for how in ("last", "all"))
    assert learned(last) == "d<|im_end|>" and learned(all_of_them) == "b<|im_end|>d<|im_end|>"


def test_a_sample_that_a_run_leaves_out_says_why(asked, monkeypatch):
    monkeypatch.setattr(masking, "_SAMPLE_CHARACTERS", 1000)
    samples = [make_sample(1, "lamp " * 100, "x"), make_sample(2, "x", " "), make_sample(3, "z" * 1001, "x")]
    found = masked(asked(samples, max_tokens=40))
    assert found.samples == ()
    assert {one.sample_id: one.code for one in found.left_out} == {
        "s1": "over_long",
        "s2": "empty_assistant",
        "s3": "not_shown",
    }
    assert "too many to be shown" in found.left_out[0].reason


def test_a_gap_of_none_is_not_shown():
    pieces = [Piece(ids=(1,), text="x", learned=bool(number % 2)) for number in range(41)]
    assert [run.left_out for run in masking.runs_of(pieces) if not run.tokens] == [1]


@pytest.mark.parametrize("seed", range(5))
def test_however_long_a_sample_is_it_is_bounded_and_nothing_is_uncounted(seed):
    draw = random.Random(seed)
    pieces, target = [], False
    for _ in range(draw.randrange(1, 120)):
        pieces += [
            Piece(ids=tuple(range(draw.randrange(1, 3))), text="x", learned=target)
            for _ in range(draw.choice([1, 5, 3000]))
        ]
        target = not target
    runs = masking.runs_of(pieces)
    shown = sum(len(run.tokens) for run in runs)
    most = masking.SHOWN_TOKENS + masking._MOST_RUNS * masking._FEWEST_OF_A_RUN
    assert shown <= most and len(runs) <= 3 * masking._MOST_RUNS + 2
    for kind in (False, True):
        ids = sum(len(one.ids) for one in pieces if one.learned == kind)
        gone = sum(run.left_out for run in runs if run.learned == kind)
        texts = sum(len(run.tokens) for run in runs if run.learned == kind)
        assert texts <= ids - gone <= 2 * texts, "what is not shown is counted"
    assert all(bool(run.tokens) != bool(run.left_out) for run in runs)


def test_no_pieces_are_no_runs():
    assert masking.runs_of([]) == ()
