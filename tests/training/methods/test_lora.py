"""What each method moves; scores and quantized bases of LoRA."""

import msgspec
import pytest
import torch
from tests.training.conftest import (
    make_model,
    task_samples,
    weights_at,
)
from tests.training.lora_trainer import trainer_for
from tests.training.methods.runs import CONFIG, Run

from freehold.training import base as bases
from freehold.training.formatting import Encoded
from freehold.training.methods import table

pytestmark = pytest.mark.timeout(600)


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
    assert trainer.evaluate(answered).score == 1.0
    # One wrong token anywhere in an answer makes it wrong.
    for at in (0, 4):
        ids = list(answered[at].ids)
        ids[-1 if at else -4] = (ids[-1 if at else -4] + 1) % 300
        answered[at] = answered[at]._replace(ids=tuple(ids))
    assert trainer.evaluate(answered).score == pytest.approx(7 / 9)


def test_an_evaluation_changes_no_gradient_of_a_4_bit_base(tmp_path, tokenizer):
    pytest.importorskip("bitsandbytes")
    base = weights_at(tmp_path, make_model(tokenizer, hidden_size=64, intermediate_size=128), tokenizer)
    config = msgspec.structs.replace(CONFIG, method="qlora", precision="bf16")
    trainer = table.make(bases.load(base, config), config)
    for name, weights in trainer.model.named_parameters():
        if "lora_B" in name:  # a fresh adapter's zeros would hide most of the gradient
            weights.data.normal_(std=0.05)
    encoded = table.format_split(tokenizer, task_samples(8), config).samples

    def gradient():
        trainer.parameters.zero_gradient()
        trainer.loss_sum(encoded)[0].backward()
        return trainer.parameters.gradient.clone()

    before = gradient()
    trainer.evaluate(encoded)
    assert torch.equal(gradient(), before)


def test_full_fine_tuning_moves_every_weight_and_adapters_move_none_of_the_base(tmp_path, job, tiny):
    before = {name: one.clone() for name, one in bases.load(tiny, CONFIG).model.named_parameters()}
    run = Run(job, {"method": "full", "learning_rate": 0.005}, tmp_path / "full")
    run.go()
    after = dict(run.trainer.model.named_parameters())
    assert all(not torch.equal(after[name], one) for name, one in before.items())
    lora = Run(job, {}, tmp_path / "lora")
    lora.go()
    base = dict(lora.trainer.base.model.named_parameters())
    untouched = [one for name, one in base.items() if "lora_" not in name]
    assert len(untouched) == len(before)
    assert all(torch.equal(a, b) for a, b in zip(untouched, before.values(), strict=True))
