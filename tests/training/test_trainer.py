"""What all trainers share."""

import pytest
import torch
from tests.training.runs import CONFIG

from freehold.errors import TrainingError
from freehold.training.formatting import Encoded
from freehold.training.trainer import Trainer

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


def test_activations_are_computed_again_once():
    trainer = trainer_of()
    assert [trainer.recompute(), trainer.recompute()] == [True, False]
    assert trainer.checkpointed == 1
