"""Full fine-tuning moves every weight."""

import pytest
import torch
from tests.training.methods.runs import CASES, CONFIG, Run

from freehold.training import base as bases

pytestmark = pytest.mark.timeout(600)


def test_full_fine_tuning_moves_every_weight_and_adapters_move_none_of_the_base(tmp_path, job, tiny):
    before = {name: one.clone() for name, one in bases.load(tiny, CONFIG).model.named_parameters()}
    run = Run(job, CASES["full"], tmp_path / "full")
    run.go()
    after = dict(run.trainer.model.named_parameters())
    assert all(not torch.equal(after[name], one) for name, one in before.items())
    lora = Run(job, {}, tmp_path / "lora")
    lora.go()
    base = dict(lora.trainer.base.model.named_parameters())
    untouched = [one for name, one in base.items() if "lora_" not in name]
    assert len(untouched) == len(before)
    assert all(torch.equal(a, b) for a, b in zip(untouched, before.values(), strict=True))
