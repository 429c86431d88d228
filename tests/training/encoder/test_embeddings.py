import numpy as np

from freehold.training.encoder.embeddings import CHUNK, EmbeddingCache


def compute(texts):
    compute.asked += len(texts)
    return np.array([[len(text), 1] for text in texts], dtype="f4")


def test_each_text_is_computed_once_and_kept(tmp_path):
    compute.asked = 0
    rows = EmbeddingCache(tmp_path, "base").embed(["aa", "b", "aa"], compute)
    assert rows[:, 0].tolist() == [2, 1, 2]
    assert EmbeddingCache(tmp_path, "base").embed(["b", "ccc"], compute)[:, 0].tolist() == [1, 3]
    assert compute.asked == 3
    EmbeddingCache(tmp_path, "another base").embed(["b"], compute)
    assert compute.asked == 4


def test_a_run_that_was_stopped_goes_on_after_what_is_done(tmp_path):
    compute.asked = 0
    texts = ["x" * n for n in range(CHUNK + 10)]
    looks = iter([False, True])
    assert EmbeddingCache(tmp_path, "base").embed(texts, compute, stopped=lambda: next(looks)) is None
    assert compute.asked == CHUNK
    assert len(EmbeddingCache(tmp_path, "base").embed(texts, compute)) == CHUNK + 10
    assert compute.asked == CHUNK + 10


def test_a_damaged_file_is_computed_again(tmp_path):
    compute.asked = 0
    EmbeddingCache(tmp_path, "base").embed(["a"], compute)
    next(tmp_path.iterdir()).write_bytes(b"no")
    EmbeddingCache(tmp_path, "base").embed(["a"], compute)
    assert compute.asked == 2
