from types import SimpleNamespace

import pytest
import torch

from freehold.training.checkpoint import Position
from freehold.training.loop import EarlyStopping
from freehold.training.trainer import ValidationResult


def trainer(value):
    return SimpleNamespace(parameters=SimpleNamespace(flat=torch.nn.Parameter(torch.tensor([value]))))


def test_the_best_weights_come_back_and_patience_ends():
    stopping, run = EarlyStopping(2), trainer(1.0)
    stopping.record(ValidationResult(0.5, 0.8), run)
    run.parameters.flat.data.fill_(2.0)
    stopping.record(ValidationResult(0.4, 0.7), run)
    assert not stopping.is_over
    stopping.record(ValidationResult(0.6, 0.8), run)
    assert stopping.is_over and stopping.stale == 2
    assert stopping.restore_best(run, ValidationResult(0.6, 0.8)) == ValidationResult(0.5, 0.8)
    assert run.parameters.flat.item() == 1.0


def test_of_equal_scores_the_lower_loss_is_better():
    stopping, run = EarlyStopping(1), trainer(1.0)
    stopping.record(ValidationResult(0.5, 0.8), run)
    stopping.record(ValidationResult(0.4, 0.8), run)
    assert stopping.best == ValidationResult(0.4, 0.8)
    assert not stopping.is_over


def test_without_a_patience_the_last_weights_stay():
    stopping, run = EarlyStopping(None), trainer(1.0)
    stopping.record(ValidationResult(0.5, 0.8), run)
    run.parameters.flat.data.fill_(2.0)
    last = ValidationResult(0.9, 0.1)
    stopping.record(last, run)
    assert not stopping.is_over and stopping.tensors() == {}
    assert stopping.restore_best(run, last) is last
    assert run.parameters.flat.item() == 2.0


def test_a_checkpoint_keeps_the_best_and_how_long_ago_it_was():
    stopping, run = EarlyStopping(3), trainer(1.0)
    stopping.record(ValidationResult(0.5, 0.8), run)
    stopping.record(ValidationResult(0.9, 0.2), run)
    again = EarlyStopping(3)
    position = Position(
        job="j", step=2, steps=9, tokens=0, seconds=0.0, best_loss=0.5, best_score=0.8, stale_evaluations=1
    )
    run.parameters.flat.data.fill_(2.0)
    again.restore(position, {**stopping.tensors(), "adapter": run.parameters.flat.detach()})
    assert (again.best, again.stale) == (ValidationResult(0.5, 0.8), 1)
    again.restore_best(run, None)
    assert run.parameters.flat.item() == pytest.approx(1.0)
