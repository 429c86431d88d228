"""Steps, batches, and learning rates of a trainer, and memory that runs out."""

import math

import numpy as np
import pytest
import torch
from tests.training.conftest import task_samples
from tests.training.runs import CONFIG

from freehold.errors import TrainingError
from freehold.training import schedule
from freehold.training.formatting import Encoded
from freehold.training.loop import is_out_of_memory, retry_smaller
from freehold.training.trainer import Trainer
from freehold.types.config import FinetuneConfig

SAMPLES = [Encoded(f"s{number}", (1, 2), (False, True)) for number in range(6)]


class LinearTrainer(Trainer):
    checkpointed = 0
    step = evaluate = None

    def _checkpoint_layers(self):
        self.checkpointed += 1


def trainer_of():
    torch.manual_seed(0)
    return LinearTrainer(torch.nn.Linear(3, 2, bias=False), "cpu", CONFIG)


def test_a_long_gradient_is_cut_to_the_norm_that_is_allowed():
    trainer = trainer_of()
    trainer.parameters.gradient.fill_(10.0)
    trainer.apply_gradient(0.5, SAMPLES, 0.01)
    assert float(trainer.parameters.gradient.norm()) == pytest.approx(1.0)
    assert trainer.optimizer.param_groups[0]["lr"] == 0.01


@pytest.mark.parametrize(("loss", "gradient"), [(float("nan"), 1.0), (0.5, float("inf"))])
def test_what_is_not_a_number_names_its_samples(loss, gradient):
    trainer = trainer_of()
    before = trainer.parameters.flat.detach().clone()
    trainer.parameters.gradient.fill_(gradient)
    with pytest.raises(TrainingError, match="not a number; batch: samples s0, s1, s2, s3 and 2 more"):
        trainer.apply_gradient(loss, SAMPLES, 0.01)
    assert torch.equal(trainer.parameters.flat, before)


def test_a_checkpoint_brings_weights_moments_and_chance_back():
    trainer, again = trainer_of(), trainer_of()
    for one in (1.0, 2.0):
        trainer.parameters.gradient.fill_(one)
        trainer.apply_gradient(0.5, SAMPLES, 0.01)
    saved = {name: tensor.clone() for name, tensor in trainer.tensors().items()}
    chance = torch.rand(3)
    again.restore(saved)
    assert torch.equal(torch.rand(3), chance)
    for one in (trainer, again):
        one.parameters.gradient.fill_(0.5)
        one.apply_gradient(0.5, SAMPLES, 0.01)
    assert torch.equal(trainer.parameters.flat, again.parameters.flat)


def test_a_checkpoint_of_another_size_is_refused():
    saved = trainer_of().tensors() | {"adapter": torch.zeros(4)}
    with pytest.raises(TrainingError, match="another number of trained weights"):
        trainer_of().restore(saved)


TWO_EPOCHS = FinetuneConfig(batch_size=4, epochs=2, learning_rate=1.0)


def lengths_of(samples):
    return np.random.default_rng(3).integers(3, 60, samples)


@pytest.mark.parametrize("lengths", [None, lengths_of(1010)])
def test_each_epoch_sees_every_sample_once(lengths):
    for epoch in range(2):
        order = schedule.epoch_order(epoch, 1010, TWO_EPOCHS, lengths)
        assert sorted(order.tolist()) == list(range(1010))


def test_batches_are_of_like_length_and_come_in_any_order():
    lengths = lengths_of(1010)
    batches = [
        lengths[schedule.epoch_order(0, 1010, TWO_EPOCHS, lengths)][at : at + 4] for at in range(0, 1008, 4)
    ]
    padded = sum(4 * int(batch.max()) for batch in batches)
    alone = lengths[schedule.epoch_order(0, 1010, TWO_EPOCHS)][:1008].reshape(-1, 4).max(axis=1)
    assert padded < 1.05 * lengths.sum() < 0.8 * 4 * int(alone.sum())
    means = [float(batch.mean()) for batch in batches[: schedule.WINDOW]]
    assert means != sorted(means)


def test_learning_rate_warms_up_and_decays():
    rates = [
        schedule.learning_rate(step, 100, 1.0, schedule.RateCurve(0.1, is_linear=False))
        for step in range(100)
    ]
    assert rates[0] == pytest.approx(0.1)
    assert max(rates) == rates[9] == 1.0
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert rates[55] == pytest.approx(0.5 * (1 + math.cos(math.pi * 45 / 90)))
    assert rates[99] < 0.001
    straight = [schedule.learning_rate(step, 100, 1.0, schedule.LINEAR) for step in range(100)]
    assert straight[:10] == rates[:10] and straight[55] == pytest.approx(0.5)


TENS = [Encoded(f"s{n}", tuple(range(10)), (False,) * 9 + (True,)) for n in range(8)]


class Trainer:
    pack_tokens = 4096

    def recompute(self):
        return False


def test_a_sample_that_does_not_fit_alone_is_an_error():
    def work(samples):
        raise MemoryError

    trainer = Trainer()
    with pytest.raises(TrainingError, match="one sample of 10 tokens"):
        retry_smaller(trainer, work, TENS, lambda message: None)
    assert trainer.pack_tokens <= 10


def test_a_layer_is_kept_by_its_input_alone(tiny, tokenizer):
    from freehold.training import base as bases
    from freehold.training.formatting import format_samples
    from freehold.training.methods import LoraTrainer
    from freehold.types.config import FinetuneConfig

    samples = format_samples(tokenizer, task_samples(12), max_tokens=512).samples

    def kept(*, again):
        config = FinetuneConfig(r=4)
        trainer = LoraTrainer(bases.load(tiny, config), config)
        if again:
            trainer.recompute()
        trainer.evaluate(samples)  # Takes the adapter's weights.
        sizes = []
        with torch.autograd.graph.saved_tensors_hooks(lambda x: sizes.append(x.nbytes) or x, lambda x: x):
            loss, _, _ = trainer.loss_sum(samples)
        return sum(sizes), loss

    (plain, loss), (fewer, same) = kept(again=False), kept(again=True)
    assert fewer < plain / 3
    assert torch.equal(loss, same)


def test_what_pytorch_says_is_known():
    with pytest.raises(RuntimeError) as caught:
        torch.empty(1 << 60, dtype=torch.uint8)
    assert is_out_of_memory(caught.value)


def test_a_step_in_halves_has_the_same_loss_and_leaves_the_same_adapter(tiny, tokenizer):
    from freehold.training import base as bases
    from freehold.training.formatting import format_samples
    from freehold.training.methods import LoraTrainer
    from freehold.types.config import FinetuneConfig

    config = FinetuneConfig(r=4)
    samples = format_samples(tokenizer, task_samples(12), max_tokens=512).samples
    whole, halved = (LoraTrainer(bases.load(tiny, config), config) for _ in range(2))
    fails = [True]

    def once(samples):
        if fails.pop() if fails else False:
            halved.loss_sum(samples)  # Something of the failed pass is left behind.
            raise MemoryError
        return halved.step(samples, 1e-3)

    expected, _ = whole.step(samples, 1e-3)
    found, _ = retry_smaller(halved, once, samples, lambda message: None)
    assert halved.pack_tokens < sum(len(sample.ids) for sample in samples)
    assert found == pytest.approx(expected, rel=1e-5)
    torch.testing.assert_close(halved.parameters.flat, whole.parameters.flat, rtol=1e-4, atol=2e-4)
