import json
import shutil

import msgspec
import numpy as np
import pytest
from tests.training.encoder.conftest import KINDS

from freehold.errors import MissingExtraError, WeightsError
from freehold.training.encoder import base as bases

TEXTS = list(KINDS.values())


@pytest.fixture
def copied(base_weights, tmp_path):
    """The base in a folder that a test may change."""
    folder = tmp_path / "base"
    shutil.copytree(base_weights.path, folder)
    return msgspec.structs.replace(base_weights, path=str(folder))


def test_embeddings_do_not_depend_on_what_is_computed_together(base_weights):
    base = bases.load(base_weights)
    rows = base.encode(TEXTS, 32).ids
    together, tokens = bases.embed(base, rows, tokens=True)
    alone = np.concatenate([bases.embed(base, [row], batch_tokens=1)[0] for row in rows])
    assert np.abs(together - alone).max() < 1e-5
    assert [len(one) for one in tokens] == [len(row) for row in rows]
    assert np.abs(tokens[0].mean(axis=0) - together[0]).max() < 1e-5
    fast, _ = bases.embed(base, rows, fast=True)
    assert np.abs(fast - together).max() < 0.05 * np.abs(together).max()


def test_the_prefix_is_counted_out_of_places(base_weights):
    base = bases.load(base_weights)._replace(prefix="hello ")
    encoded = base.encode(["my lamp"], 32)
    assert [TEXTS and "my lamp"[start:end] for start, end in encoded.offsets[0]][-2] == "lamp"
    assert len(base.encode(["a b c d e f"], 4).ids[0]) == 4


@pytest.mark.parametrize(
    ("model", "prefix"),
    [("intfloat/e5-small-v2", "query: "), ("intfloat/multilingual-e5-small", "query: "), ("BAAI/bge-small-en-v1.5", ""),
     ("nomic-ai/nomic-embed-text-v1.5", "classification: ")],
)  # fmt: skip
def test_prefixes(model, prefix):
    assert bases.prefix_of(model) == prefix


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


def test_a_missing_library_names_the_extra(base_weights, monkeypatch):
    monkeypatch.setattr(bases.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match="encoder"):
        bases.require(base_weights)


def test_like_lengths_go_together():
    assert bases.batches([5, 1, 4, 2], 8) == [[1, 3], [2], [0]]
