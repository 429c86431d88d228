"""The loss of distillation against its formula."""

import math

import msgspec
import pytest
import torch
from tests.training.methods.runs import CONFIG

from freehold.training import base as bases
from freehold.training.formatting import SoftTarget, TaughtSample
from freehold.training.methods.distill import DistillTrainer

pytestmark = pytest.mark.timeout(600)


def test_the_soft_loss_is_the_divergence_written_out(tiny):
    config = msgspec.structs.replace(CONFIG, method="distill", soft_share=0.25)
    base = bases.load(tiny, config)
    trainer = DistillTrainer(base, config)
    long = TaughtSample(
        "a", (1, 9, 8, 7, 30, 31, 2), (False,) * 4 + (True,) * 3, (SoftTarget(1, (31, 40), (0.6, 0.3)),)
    )
    short = TaughtSample(
        "b", (1, 9, 20, 2), (False,) * 2 + (True,) * 2, (SoftTarget(0, (20, 21), (0.5, 0.5)),)
    )
    with torch.no_grad():
        found, targets, _ = trainer.loss_sum([long, short])
        trainer.model.set_attn_implementation("sdpa")
        wanted = 0.0
        for one in (long, short):
            logs = torch.log_softmax(trainer.model(input_ids=torch.tensor([one.ids])).logits[0], -1)
            rows = [at - 1 for at, wanted_here in enumerate(one.mask) if wanted_here]
            soft = {told.at: told for told in one.soft}
            for at, row in enumerate(rows):
                word = -logs[row, one.ids[row + 1]]
                told = soft.get(at)
                if told is None:
                    wanted += word
                    continue
                p, q = torch.tensor(told.probabilities), logs[row, list(told.ids)]
                rest = 1 - float(p.sum())
                apart = (p * (p.log() - q)).sum()
                if rest > 1e-6:
                    apart += rest * (math.log(rest) - torch.log(1 - q.exp().sum()))
                wanted += 0.75 * word + 0.25 * apart
    assert targets == 5
    assert float(found) == pytest.approx(float(wanted), rel=1e-4)
