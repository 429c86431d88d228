"""The packed and fused computation against plain PEFT on padded batches: same loss, same gradients."""

import torch
from tests.training.lora_trainer import trainer_for
from torch.nn import functional

from freehold.training.compute.packing import common_prefix, pack


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


def test_fused_equals_plain_peft(tiny, samples):
    trainer = trainer_for(tiny)
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
