import hashlib

import torch

from freehold.training.output.artefacts import permuted, sha256_of


def test_the_halves_of_a_head_become_neighbours():
    rows = torch.arange(16.0)[:, None]  # two heads of eight rows
    assert permuted(rows, 2)[:, 0].tolist() == [0, 4, 1, 5, 2, 6, 3, 7, 8, 12, 9, 13, 10, 14, 11, 15]
    assert permuted(rows, 1)[:4, 0].tolist() == [0, 8, 1, 9]


def test_a_file_is_known_by_its_hash(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"x" * 100_000)
    assert sha256_of(path) == hashlib.sha256(b"x" * 100_000).hexdigest()
