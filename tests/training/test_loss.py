"""Cross-entropy in chunks, parameters as views of one vector, samples as one row: against PyTorch's and PEFT's own."""

import pytest
import torch
from tests.training.runs import trainer_for
from torch.nn import functional

from freehold.training.attention import packed_attention
from freehold.training.formatting import Encoded
from freehold.training.loss import _CHUNK_ROWS, Parameters, cross_entropy_sum, judge
from freehold.training.packing import common_prefix, pack

ROWS = _CHUNK_ROWS + 37  # a whole chunk and a part of one


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


@pytest.fixture
def model():
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.Linear(2, 2))
    model[0].bias.requires_grad_(False)
    return model


def test_a_model_computes_with_the_vector(model):
    x = torch.ones(1, 3)
    before = model(x)
    parameters = Parameters(model)
    assert parameters.names == ["0.weight", "1.weight", "1.bias"]
    assert parameters.flat.numel() == 6 + 4 + 2
    assert torch.equal(model(x), before)
    begin, end = parameters.slices["1.bias"]
    with torch.no_grad():
        parameters.flat[begin:end] += 5
    torch.testing.assert_close(model(x), before + 5)


def test_gradients_gather_in_one_vector_and_start_again_at_zero(model):
    parameters = Parameters(model)
    model(torch.ones(1, 3)).sum().backward()
    begin, end = parameters.slices["1.bias"]
    assert parameters.gradient[begin:end].tolist() == [1.0, 1.0]
    parameters.zero_gradient()
    assert not model[1].bias.grad.any()


def test_the_optimizer_moves_what_the_model_uses(model):
    parameters = Parameters(model)
    optimizer = torch.optim.SGD([parameters.flat], lr=1.0)
    before = model[1].bias.detach().clone()
    model(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    torch.testing.assert_close(model[1].bias.detach(), before - 1)


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
    assert [len(group.at) for group in alike.groups] == [3]
    assert [len(group.at) for group in unlike.groups] == [1, 1]
    group = alike.groups[0]
    assert torch.equal(group.at.reshape(-1)[group.slots], group.tokens)


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
    trainer = trainer_for(tiny)
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
    packed = pack(samples)
    assert packed.prefix == common_prefix(samples) > 5
    assert len(packed.ids) < packed.plain_tokens

    def states(packed):
        return trainer._decoder(
            input_ids=packed.ids[None], position_ids=packed.positions[None], pack=packed, use_cache=False
        ).last_hidden_state[0]

    alone = [states(pack([sample])) for sample in samples]
    together = states(packed)
    order = sorted(range(len(samples)), key=lambda at: len(samples[at].ids))
    at = packed.prefix
    for index in order:
        rest = len(samples[index].ids) - packed.prefix
        torch.testing.assert_close(
            together[at : at + rest], alone[index][packed.prefix : packed.prefix + rest], rtol=1e-4, atol=1e-5
        )
        at += rest
