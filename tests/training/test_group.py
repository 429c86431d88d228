"""Sums over workers: the identity alone, and two processes over gloo."""

import subprocess
import sys

import pytest
import torch

from freehold.training import group

WORKER = """
import sys, torch, torch.distributed as distributed
from freehold.training import group
rank = int(sys.argv[1])
distributed.init_process_group("gloo", init_method=f"file://{sys.argv[2]}", rank=rank, world_size=2)
shard, number = list(group.shard([0, 1, 2])), torch.tensor([1.0 + rank])
group.all_reduce(number)
print(group.rank(), shard, number.item(), group.totals(rank, 10), group.from_first(None if rank else 7),
      group.from_first(rank if rank else None), sep=";")
distributed.destroy_process_group()
"""


def test_alone_everything_is_the_identity():
    items, number = [1, 2, 3], torch.tensor([4.0])
    group.all_reduce(number)
    assert group.rank() == 0 and group.shard(items) is items and number.item() == 4.0
    assert group.totals(1, 2.5) == (1, 2.5)
    assert (group.from_first(3.0), group.from_first(None)) == (3.0, None)


@pytest.mark.process
def test_two_workers_share_a_batch_and_agree_on_sums(tmp_path):
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", WORKER, str(rank), str(tmp_path / "meeting")],
            stdout=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    first, second = (worker.communicate(timeout=100)[0].strip().split(";") for worker in workers)
    assert first == ["0", "[0, 2]", "3.0", "(1.0, 20.0)", "7.0", "None"]
    assert second == ["1", "[1]", "3.0", "(1.0, 20.0)", "7.0", "None"]
