"""Cross-entropy in chunks, and samples as one row: against PyTorch's and PEFT's own."""

import pytest
import torch
from tests.training.runs import trainer_for
from torch.nn import functional

from freehold.hardware.training_memory import CHUNK_ROWS
from freehold.training.attention import packed_attention
from freehold.training.formatting import Encoded
from freehold.training.loss import cross_entropy_sum, judge
from freehold.training.packing import common_prefix, pack

ROWS = CHUNK_ROWS + 37  # a whole chunk and a part of one


@pytest.fixture
def numbers():
    torch.manual_seed(0)
    return torch.randn(ROWS, 16), torch.randn(50, 16), torch.randint(50, (ROWS,))


def logits_of(hidden, head, softcap):
    logits = hidden @ head.t()
    return logits if softcap is None else torch.tanh(logits / softcap) * softcap


@pytest.mark.parametrize("softcap", [None, 3.0])
def test_chunks_have_the_loss_and_gradient_of_the_whole(numbers, softcap):
    hidden, head, targets = numbers
    ours, theirs = (hidden.clone().requires_grad_() for _ in range(2))
    loss = cross_entropy_sum(ours, head, targets, softcap=softcap)
    expected = functional.cross_entropy(logits_of(theirs, head, softcap), targets, reduction="sum")
    (2 * loss).backward()
    (2 * expected).backward()
    torch.testing.assert_close(loss, expected, rtol=1e-5, atol=1e-3)
    torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("softcap", [None, 3.0])
def test_a_row_is_right_when_its_target_is_the_most_likely(numbers, softcap):
    hidden, head, targets = numbers
    best = logits_of(hidden, head, softcap).argmax(dim=1)
    targets = torch.where(torch.arange(ROWS) % 3 == 0, best, targets)
    total, right = judge(hidden, head, targets, softcap=softcap)
    expected = functional.cross_entropy(logits_of(hidden, head, softcap), targets, reduction="sum")
    assert total == pytest.approx(float(expected), rel=1e-5)
    assert right.tolist() == (best == targets).tolist()


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


@pytest.mark.parametrize("window", [None, 5])
def test_each_token_attends_to_the_prefix_and_its_own_sample(window):
    """Against attention written out token by token, with two heads for each key."""
    torch.manual_seed(0)
    samples = [encoded(str(n), [1, 2, 3, *range(n, n + 4 + n)], 1) for n in range(5, 8)]
    packed = pack(samples)
    query, key, value = (torch.randn(len(packed.ids), heads, 8) for heads in (4, 2, 2))
    found = packed_attention(query, key, value, packed, scale=0.3, window=window)
    begin = packed.prefix
    for sample in sorted(samples, key=lambda one: len(one.ids)):
        own = range(begin, begin + len(sample.ids) - packed.prefix)
        row = [*range(packed.prefix), *own]
        for place in range(packed.prefix, len(row)):
            seen = row[max(0, place + 1 - (window or len(row))) : place + 1]
            keys, values = (x[seen].repeat_interleave(2, dim=1) for x in (key, value))
            scores = torch.einsum("hw,khw->hk", query[row[place]], keys) * 0.3
            wanted = torch.einsum("hk,khw->hw", scores.softmax(-1), values)
            torch.testing.assert_close(found[row[place]], wanted, rtol=1e-4, atol=1e-5)
        begin = own[-1] + 1


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


def test_a_packed_row_has_the_loss_and_gradient_of_padded_samples(tiny, samples):
    assert common_prefix(samples) > 5, "and with one prefix for all of them"
    trainer = trainer_for(tiny)
    loss, targets, tokens = trainer.loss_sum(samples)
    loss.backward()
    gradient = trainer.parameters.gradient.clone()
    assert targets == sum(sum(sample.mask) for sample in samples)
    assert tokens == sum(len(sample.ids) for sample in samples)
    expected_loss, expected = reference(trainer, samples)
    torch.testing.assert_close(loss.detach(), expected_loss, rtol=1e-5, atol=1e-4)
    assert (gradient - expected).norm() < 1e-4 * expected.norm()
