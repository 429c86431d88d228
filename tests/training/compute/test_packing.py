"""Samples laid out as one row: their shared prefix once, attention, and the fused computation against plain PEFT
on padded batches."""

import pytest
import torch
from tests.training.lora_trainer import trainer_for
from torch.nn import functional

from freehold.training.compute.attention import _Block, _explicit, _kernel
from freehold.training.compute.packing import common_prefix, pack
from freehold.training.formatting import Encoded


def test_equal_samples_keep_a_token_apart(samples):
    packed = pack([samples[0], samples[0]._replace(id="again")])
    first_target = samples[0].mask.index(True)
    assert packed.prefix == first_target - 1


def encoded(name, ids, targets):
    return Encoded(name, tuple(ids), (False,) * (len(ids) - targets) + (True,) * targets)


def test_a_row_holds_the_prefix_once_and_knows_whose_targets_are_whose():
    long, short = encoded("long", [1, 2, 3, 40, 41, 42], 2), encoded("short", [1, 2, 3, 50], 1)
    packed = pack([long, short])
    assert packed.prefix == common_prefix([long, short]) == 2  # the token before the first target stays apart
    assert packed.ids[:8].tolist() == [1, 2, 3, 50, 3, 40, 41, 42]
    assert packed.positions[:8].tolist() == [0, 1, 2, 3, 2, 3, 4, 5]
    assert packed.targets.tolist() == [50, 41, 42]
    assert packed.predicted_at.tolist() == [2, 5, 6]
    assert packed.owners.tolist() == [0, 1, 1]
    assert (packed.plain_tokens, packed.samples) == (10, 2)
    assert len(packed.ids) % 64 == 0


def test_samples_without_a_common_beginning_share_nothing():
    packed = pack([encoded("a", [1, 2, 3], 1), encoded("b", [7, 8, 9], 1)])
    assert packed.prefix == 0 and packed.prefix_group is None


def test_samples_of_unlike_length_are_not_padded_to_each_other():
    alike = pack([encoded(str(n), [n, *range(100, 118)], 1) for n in range(3)])
    unlike = pack([encoded("a", [1, *range(9)], 1), encoded("b", [2, *range(400)], 1)])
    assert [len(group.sizes) for group in alike.groups] == [3]
    assert [len(group.sizes) for group in unlike.groups] == [1, 1]
    group = alike.groups[0]
    assert len(group.slots) + len(group.filling) == group.at.numel()
    assert torch.equal(group.at.reshape(-1)[group.slots], group.tokens)


@pytest.mark.parametrize("window", [None, 5])
def test_explicit_attention_equals_the_kernel(window):
    torch.manual_seed(0)
    block = _Block(torch.randn(3, 7, 4, 8), torch.randn(3, 11, 2, 8), torch.randn(3, 11, 2, 8))
    explicit, _ = _explicit(block, 0.3, window)
    torch.testing.assert_close(explicit, _kernel(block, 0.3, window), rtol=1e-4, atol=1e-5)


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
