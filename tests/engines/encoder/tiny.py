"""A tiny encoder, made without PyTorch: each word has a vector, a text is their mean, heads look for words."""

import json

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from safetensors.numpy import load_file, save_file
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from freehold.encoders.words import learn
from freehold.files import write_json
from freehold.types.encoder import EncoderManifest, FieldHead

WORDS = (
    "where",
    "is",
    "my",
    "order",
    "cancel",
    "it",
    "refund",
    "now",
    "please",
    "one",
    "two",
    "three",
    "say",
)
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")
WIDTH = len(WORDS) + len(SPECIAL)
INTENT = FieldHead(name="intent", kind="one", labels=("track", "cancel", "refund", "other"))
URGENCY = FieldHead(name="urgency", kind="one", labels=("low", "high", "none"), temperature=2.0)
MOOD = FieldHead(name="mood", kind="one", labels=("polite", "angry", "calm"))
TONES = FieldHead(name="tones", kind="several", labels=("polite", "angry", "short"), threshold=0.4)
LABEL = FieldHead(name="", kind="one", labels=("track", "cancel", "refund", "other"))
LABELS = FieldHead(name="", kind="several", labels=("polite", "angry", "short"))
NUMBER = FieldHead(name="number", kind="copied", copied_as="upper")

SIGNS = {  # which word speaks for which label
    "track": "where", "cancel": "cancel", "refund": "refund", "high": "now", "low": "is", "polite": "please",
    "angry": "cancel", "short": "it",
}  # fmt: skip


def tokenizer():
    made = Tokenizer(models.WordLevel({word: at for at, word in enumerate((*SPECIAL, *WORDS))}, "[UNK]"))
    made.normalizer = normalizers.BertNormalizer()
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    made.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return made


def graph(width=WIDTH):
    """Each token is its own direction; the embedding is the mean over those that are not padding."""
    table = np.eye(len(WORDS) + len(SPECIAL), width, dtype=np.float32)
    nodes = [
        helper.make_node("Gather", ["table", "input_ids"], ["token_embeddings"]),
        helper.make_node("Cast", ["attention_mask"], ["mask"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["mask", "last"], ["wide"]),
        helper.make_node("Mul", ["token_embeddings", "wide"], ["kept"]),
        helper.make_node("ReduceSum", ["kept", "first"], ["total"], keepdims=0),
        helper.make_node("ReduceSum", ["wide", "first"], ["count"], keepdims=0),
        helper.make_node("Div", ["total", "count"], ["embedding"]),
    ]
    inputs = [
        helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "tokens"])
        for name in ("input_ids", "attention_mask")
    ]
    outputs = [
        helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["batch", width]),
        helper.make_tensor_value_info("token_embeddings", TensorProto.FLOAT, ["batch", "tokens", width]),
    ]
    constants = [
        numpy_helper.from_array(table, "table"),
        numpy_helper.from_array(np.array([-1], np.int64), "last"),
        numpy_helper.from_array(np.array([1], np.int64), "first"),
    ]
    made = helper.make_graph(nodes, "tiny", inputs, outputs, constants)
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 9
    onnx.checker.check_model(model)
    return model


def head(field):
    """A label speaks up where its word is in the text, the last one where none is."""
    place = {word: at for at, word in enumerate((*SPECIAL, *WORDS))}
    if field.kind == "copied":
        weight, bias = np.zeros((3, WIDTH), np.float32), np.array([-2, -4, -2], np.float32)
        weight[:, place["[UNK]"]] = 5  # what is not a word is the number
        return weight, bias
    weight = np.zeros((len(field.labels), WIDTH), np.float32)
    bias = np.full(len(field.labels), -1, np.float32)
    for row, label in enumerate(field.labels):
        if label in SIGNS:
            weight[row, place[SIGNS[label]]] = 12
    if field.kind == "one":
        bias[-1] = 1
    return weight, bias


def tiny_encoder(folder, *, answer="label", fields=(LABEL,), width=WIDTH, **more):
    """A folder as training leaves it."""
    folder.mkdir(parents=True, exist_ok=True)
    onnx.save(graph(width), folder / "model.onnx")
    tokenizer().save(str(folder / "tokenizer.json"))
    tensors = {}
    for number, field in enumerate(fields):
        tensors[f"{number}.weight"], tensors[f"{number}.bias"] = head(field)
    save_file(tensors, folder / "heads.safetensors")
    read = 0 if more.get("runs_on") == "words" else WIDTH
    manifest = EncoderManifest(
        base_model="tests/tiny", base_sha256="0" * 64, width=read, answer=answer, fields=fields, max_tokens=16, **more
    )  # fmt: skip
    write_json(folder / "encoder.json", manifest)
    return folder


def with_words_first(folder, *, least=0.9):
    """Let words answer first: whoever says "where" gets the last label, which the encoder would not say."""
    manifest = json.loads((folder / "encoder.json").read_text())
    words = learn([["where", "where", "it", "it"]])
    tensors = load_file(folder / "heads.safetensors")
    rows = len(tensors["0.bias"])
    tensors["0.first"] = np.zeros((rows, len(words.weights)), np.float32)
    tensors["0.first"][-1, words.known[0].index("=where")] = 20
    tensors["0.first_bias"] = np.zeros(rows, np.float32)
    save_file(tensors, folder / "heads.safetensors")
    (folder / "words.json").write_bytes(words.as_json())
    write_json(folder / "encoder.json", {**manifest, "words": True, "first": least})
