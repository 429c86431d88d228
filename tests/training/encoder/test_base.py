"""The base that reads texts, and the modules that are put into it while it learns."""

import json
import shutil

import msgspec
import numpy as np
import pytest
import torch
from tests.training.encoder.conftest import KINDS

from freehold.errors import WeightsError
from freehold.training.encoder import base as bases
from freehold.training.encoder.base import CHUNK, EmbeddingCache, TorchReader
from freehold.training.encoder.trainers import ByteDropout, seen_only

TEXTS = list(KINDS.values())


@pytest.fixture
def copied(base_weights, tmp_path):
    """The base in a folder that a test may change."""
    folder = tmp_path / "base"
    shutil.copytree(base_weights.path, folder)
    return msgspec.structs.replace(base_weights, path=str(folder))


def test_embeddings_do_not_depend_on_what_is_computed_together(base_weights):
    base = bases.load(base_weights)
    read = TorchReader(base, 32, tokens=True).read(TEXTS)
    together = np.stack([one.plain for one in read])
    alone = np.concatenate([TorchReader(base, 32).vectors([text]) for text in TEXTS])
    assert np.abs(together - alone).max() < 1e-5
    assert (
        [len(one.inner) for one in read] == [one.tokens for one in read] == [len(one.spans) for one in read]
    )
    assert np.abs(read[0].inner.mean(axis=0) - together[0]).max() < 1e-5
    fast = TorchReader(base, 32, fast=True).vectors(TEXTS)
    assert np.abs(fast - together).max() < 0.05 * np.abs(together).max()


def test_the_prefix_is_counted_out_of_places(base_weights):
    base = bases.load(base_weights)._replace(prefix="hello ")
    encoded = base.encode(["my lamp"], 32)
    assert [TEXTS and "my lamp"[start:end] for start, end in encoded.spans[0]][-2] == "lamp"
    assert len(base.encode(["a b c d e f"], 4).ids[0]) == 4


def test_pooling_is_read(copied):
    folder = copied.path
    (bases.Path(folder) / "1_Pooling").mkdir()
    config = {
        "word_embedding_dimension": 32,
        "pooling_mode_cls_token": True,
        "pooling_mode_mean_tokens": False,
    }
    (bases.Path(folder) / "1_Pooling" / "config.json").write_text(json.dumps(config))
    kinds = ("Transformer", "Pooling")
    listed = [
        {"idx": at, "name": str(at), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for at, (kind, path) in enumerate(zip(kinds, ("", "1_Pooling"), strict=True))
    ]
    (bases.Path(folder) / "modules.json").write_text(json.dumps(listed))
    assert bases.load(copied).pooling == "cls"
    config |= {"pooling_mode_cls_token": False, "pooling_mode_max_tokens": True}
    (bases.Path(folder) / "1_Pooling" / "config.json").write_text(json.dumps(config))
    with pytest.raises(WeightsError, match="pools its tokens in a way that is not known here"):
        bases.load(copied)


def test_what_cannot_be_read_says_so(copied, tmp_path):
    with pytest.raises(WeightsError, match=r"has no\s+config\.json"):
        bases.load(msgspec.structs.replace(copied, path=str(tmp_path)))
    (bases.Path(copied.path) / "config.json").write_text('{"model_type": "unheard of"}')
    with pytest.raises(WeightsError, match="cannot be read as a sentence encoder"):
        bases.load(copied)


def compute(texts):
    compute.asked += len(texts)
    return np.array([[len(text), 1] for text in texts], dtype="f4")


def embedded(folder, texts, **options):
    return EmbeddingCache(folder, "base").embed([[], *([text] for text in texts)], compute, **options)


def test_each_text_is_computed_once_and_kept(tmp_path):
    compute.asked = 0
    rows = embedded(tmp_path, ["aa", "b", "aa"])
    assert {text: row[0] for text, row in rows.items()} == {"aa": 2, "b": 1}
    assert embedded(tmp_path, ["b", "ccc"])["ccc"][0] == 3
    assert compute.asked == 3
    EmbeddingCache(tmp_path, "another base").embed([["b"]], compute)
    assert compute.asked == 4


def test_a_run_that_was_stopped_goes_on_after_what_is_done(tmp_path):
    compute.asked = 0
    texts = [f"x{n}" for n in range(CHUNK + 10)]
    looks = iter([False, True])
    assert embedded(tmp_path, texts, stopped=lambda: next(looks)) is None
    assert 0 < compute.asked < CHUNK + 10
    assert len(embedded(tmp_path, texts)) == CHUNK + 10
    assert compute.asked == CHUNK + 10


def test_a_damaged_file_is_computed_again(tmp_path):
    compute.asked = 0
    embedded(tmp_path, ["a"])
    next(tmp_path.iterdir()).write_bytes(b"no")
    embedded(tmp_path, ["a"])
    assert compute.asked == 2


def test_a_long_text_is_the_mean_of_its_pieces(base_weights):
    base = bases.load(base_weights)
    words = " ".join(["where is my order now"] * 6)
    rows, offsets, owners, _ = base.encode(["hello", words, words], 16, 2)
    assert owners == [0, 1, 1, 2, 2] and max(map(len, rows)) == 16
    made = TorchReader(base, 16, 2).vectors(["hello", words])
    parts = ["hello", words[: offsets[1][-2][1]], words[offsets[2][1][0] : offsets[2][-2][1]]]
    each = TorchReader(base, 64).vectors(parts)
    lengths = [len(row) for row in rows]
    np.testing.assert_allclose(made[0], each[0], atol=1e-5)
    np.testing.assert_allclose(
        made[1], (lengths[1] * each[1] + lengths[2] * each[2]) / (lengths[1] + lengths[2]), atol=1e-5
    )
    plain = TorchReader(base, 64).vectors(["hello", words])
    np.testing.assert_allclose(TorchReader(base, 64, 3).vectors(["hello", words]), plain, atol=1e-5)


def test_it_drops_its_share_and_keeps_the_mean():
    torch.manual_seed(1)
    given = torch.ones(400, 500)
    made = ByteDropout(0.1)(given)
    assert float((made == 0).float().mean()) == pytest.approx(26 / 256, abs=0.004)
    assert float(made.mean()) == pytest.approx(1, abs=0.004)
    assert made.unique().tolist() == pytest.approx([0.0, 256 / 230])


class Model(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.words = torch.nn.Embedding(50, 4)

    def get_input_embeddings(self):
        return self.words

    def set_input_embeddings(self, words):
        self.words = words


def test_what_is_seen_learns_and_the_rest_stays():
    model = Model()
    before = model.words.weight.detach().clone()
    whole = model.words
    with seen_only(model, [[3, 9], [9, 40]], [0]):
        assert torch.equal(model.words(torch.tensor([[40, 0]])), before[torch.tensor([[40, 0]])])
        assert sum(one.numel() for one in model.parameters()) == 4 * 4
        with torch.no_grad():
            model.words.weight += 1
    assert model.words is whole
    changed = (whole.weight.detach() != before).all(1).nonzero().ravel().tolist()
    assert changed == [0, 3, 9, 40]
    assert torch.equal(whole.weight.detach()[9], before[9] + 1)
