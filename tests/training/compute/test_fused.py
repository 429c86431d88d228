"""The packed and fused computation against plain PEFT on padded batches: same loss, same gradients."""

import pytest
import torch
from tests.training.conftest import task_samples
from torch.nn import functional

from freehold.training import base as bases
from freehold.training.compute.attention import _Block, _explicit, _kernel
from freehold.training.compute.packing import common_prefix, pack
from freehold.training.formatting import Encoded, format_samples
from freehold.training.methods.lora import LoraTrainer
from freehold.types.config import FinetuneConfig


@pytest.fixture
def samples(tokenizer):
    return format_samples(tokenizer, task_samples(9), max_tokens=512).samples


def trainer_for(tiny, **changes):
    config = FinetuneConfig(**{"r": 4, "lora_alpha": 32, "precision": "fp32", **changes})
    trainer = LoraTrainer(bases.load(tiny, config), config)
    torch.manual_seed(1)
    for name, (begin, end) in trainer.parameters.slices.items():
        if "lora_B" in name:
            trainer.parameters.flat.data[begin:end].normal_(0, 0.1)
    return trainer


def reference(trainer, samples):
    """Loss and gradient of the same adapter by PEFT's own modules, padded, with PyTorch's attention."""
    model = trainer.model
    model.base_model.model.set_attn_implementation("eager")
    longest = max(len(sample.ids) for sample in samples)
    ids = torch.tensor([[*sample.ids, *[0] * (longest - len(sample.ids))] for sample in samples])
    keep = torch.tensor([[1] * len(s.ids) + [0] * (longest - len(s.ids)) for s in samples])
    wanted = torch.tensor([[*sample.mask, *[False] * (longest - len(sample.ids))] for sample in samples])
    logits = model(input_ids=ids, attention_mask=keep).logits
    loss = functional.cross_entropy(logits[:, :-1][wanted[:, 1:]], ids[:, 1:][wanted[:, 1:]], reduction="sum")
    trainer.parameters.zero_gradient()
    loss.backward()
    return loss.detach(), trainer.parameters.gradient.clone()


@pytest.mark.parametrize("changes", [{}, {"use_rslora": True}, {"target_modules": ("q_proj", "down_proj")}])
def test_fused_equals_plain_peft(tiny, samples, changes):
    trainer = trainer_for(tiny, **changes)
    assert trainer.path == "fused"
    trainer._fused.refresh()
    loss, targets, tokens = trainer.loss_sum(samples)
    loss.backward()
    gradient = trainer.parameters.gradient.clone()
    assert targets == sum(sum(sample.mask) for sample in samples)
    assert tokens == sum(len(sample.ids) for sample in samples)
    expected_loss, expected = reference(trainer, samples)
    torch.testing.assert_close(loss.detach(), expected_loss, rtol=1e-5, atol=1e-4)
    assert (gradient - expected).norm() < 1e-4 * expected.norm()


def test_modules_path_equals_plain_peft(tiny, samples):
    trainer = trainer_for(tiny, use_dora=True)
    assert trainer.path == "modules"
    loss, _, _ = trainer.loss_sum(samples)
    loss.backward()
    gradient = trainer.parameters.gradient.clone()
    expected_loss, expected = reference(trainer, samples)
    torch.testing.assert_close(loss.detach(), expected_loss, rtol=1e-5, atol=1e-4)
    assert (gradient - expected).norm() < 1e-4 * expected.norm()


def test_shared_prefix_changes_nothing(tiny, samples):
    trainer = trainer_for(tiny)
    trainer._fused.refresh()
    packed = pack(samples)
    assert packed.prefix == common_prefix(samples) > 5
    assert len(packed.ids) < packed.plain_tokens
    alone = [trainer._fused.forward(pack([sample])) for sample in samples]
    together = trainer._fused.forward(packed)
    order = sorted(range(len(samples)), key=lambda at: len(samples[at].ids))
    at = packed.prefix
    for index in order:
        rest = len(samples[index].ids) - packed.prefix
        torch.testing.assert_close(
            together[at : at + rest], alone[index][packed.prefix : packed.prefix + rest], rtol=1e-4, atol=1e-5
        )
        at += rest


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


def test_equal_samples_keep_a_token_apart(samples):
    packed = pack([samples[0], samples[0]._replace(id="again")])
    first_target = samples[0].mask.index(True)
    assert packed.prefix == first_target - 1


@pytest.mark.parametrize("window", [None, 5])
def test_explicit_attention_equals_the_kernel(window):
    torch.manual_seed(0)
    block = _Block(torch.randn(3, 7, 4, 8), torch.randn(3, 11, 2, 8), torch.randn(3, 11, 2, 8))
    explicit, _ = _explicit(block, 0.3, window)
    torch.testing.assert_close(explicit, _kernel(block, 0.3, window), rtol=1e-4, atol=1e-5)
