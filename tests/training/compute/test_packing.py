"""Samples laid out as one row, their shared prefix once."""

import torch

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
