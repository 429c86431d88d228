"""One suite for all methods: each learns, tells numbers, and goes on after a stop as if there had been none; and what
is special to each."""

import msgspec
import pytest
import torch
from tests.training.conftest import make_model, task_samples, weights_at, write_dataset
from tests.training.runs import CONFIG, Run, trainer_for

from freehold import training
from freehold.training import attention, methods
from freehold.training import base as bases
from freehold.training.formatting import Encoded, format_samples

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(autouse=True)
def _one_thread():
    """Threads that wait for each other make tiny products slow on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def job(tmp_path_factory, tiny):
    folder = tmp_path_factory.mktemp("methods")
    dataset = write_dataset(folder / "data", task_samples(24), task_samples(9))
    return training.make(config=CONFIG, dataset=dataset, base=tiny, out_dir=folder / "out", name="x")


def test_a_run_learns_and_goes_on_after_a_stop_as_if_there_had_been_none(tmp_path, job):
    whole = Run(job, tmp_path / "whole")
    outcome = whole.go()
    first, last = (sum(loss for _, loss in part) / 3 for part in (outcome.curve[:3], outcome.curve[-3:]))
    assert last < 0.85 * first
    assert 0 < outcome.validation_loss < first
    assert 0 <= outcome.validation_score <= 1
    assert outcome.tokens > 0
    stopped = Run(job, tmp_path / "stopped")
    assert stopped.go(stop_at=4) is None
    again = stopped.go()
    assert stopped.events[0].step == 4
    assert stopped.weights == whole.weights
    assert again.curve == outcome.curve
    again = Run(job, tmp_path / "again").go(recompute=True)
    losses = [loss for _, loss in outcome.curve]
    assert [loss for _, loss in again.curve] == pytest.approx(losses, rel=1e-5), "activations computed again"


def test_a_run_learns_in_bf16_too(tmp_path, job, bf16):
    outcome = Run(job, tmp_path).go()
    first, last = (sum(loss for _, loss in part) / 3 for part in (outcome.curve[:3], outcome.curve[-3:]))
    assert last < 0.9 * first


def test_an_adapter_moves_nothing_of_the_base(tmp_path, job, tiny):
    before = {name: one.clone() for name, one in bases.load(tiny, CONFIG).model.named_parameters()}
    run = Run(job, tmp_path / "lora")
    run.go()
    untouched = [one for name, one in run.trainer.base.model.named_parameters() if "lora_" not in name]
    assert len(untouched) == len(before)
    assert all(torch.equal(a, b) for a, b in zip(untouched, before.values(), strict=True))


def test_the_score_is_what_greedy_decoding_would_write(tiny, samples):
    trainer = trainer_for(tiny)
    model = trainer.model
    model.base_model.model.set_attn_implementation("eager")
    answered = []
    for sample in samples:
        start = sample.mask.index(True)
        ids = list(sample.ids[:start])
        with torch.no_grad():
            for _ in range(4):
                ids.append(int(model(input_ids=torch.tensor([ids])).logits[0, -1].argmax()))
        answered.append(Encoded(sample.id, tuple(ids), (False,) * start + (True,) * 4))
    model.base_model.model.set_attn_implementation(attention.NAME)
    assert trainer.evaluate(answered).score == 1.0
    # One wrong token anywhere in an answer makes it wrong.
    for at in (0, 4):
        ids = list(answered[at].ids)
        ids[-1 if at else -4] = (ids[-1 if at else -4] + 1) % 300
        answered[at] = answered[at]._replace(ids=tuple(ids))
    assert trainer.evaluate(answered).score == pytest.approx(7 / 9)


def test_an_evaluation_changes_no_gradient_of_a_4_bit_base(tmp_path, tokenizer, bf16):
    pytest.importorskip("bitsandbytes")
    base = weights_at(tmp_path, make_model(tokenizer, hidden_size=64, intermediate_size=128), tokenizer)
    config = msgspec.structs.replace(CONFIG, method="qlora")
    trainer = methods.load(base, config)
    for name, weights in trainer.model.named_parameters():
        if "lora_B" in name:  # a fresh adapter's zeros would hide most of the gradient
            weights.data.normal_(std=0.05)
    encoded = format_samples(tokenizer, task_samples(8), max_tokens=512).samples

    def gradient():
        trainer.parameters.zero_gradient()
        trainer.loss_sum(encoded)[0].backward()
        return trainer.parameters.gradient.clone()

    before = gradient()
    trainer.evaluate(encoded)
    assert torch.equal(gradient(), before)
