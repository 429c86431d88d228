"""A tiny random BERT with a word-level tokenizer, as a folder sentence-transformers reads; nothing is downloaded."""

import hashlib
import json
from pathlib import Path

import pytest

pytest.importorskip("sentence_transformers")
pytest.importorskip("sklearn")

from tests.training.conftest import write_dataset

from freehold.types.dataset import Message, Sample
from freehold.types.model import Weights

KINDS = {
    "order_status": "where is my order now",
    "order_cancel": "cancel the rug order please",
    "damaged_item": "broken glass in the parcel",
}
WORDS = [*" ".join(KINDS.values()).split(), "lamp", "number", "hello", *"abcdef0123456789-"]


def base_at(folder: Path, **changes) -> Weights:
    import torch
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    folder.mkdir(parents=True, exist_ok=True)
    vocabulary = {
        word: at for at, word in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", *dict.fromkeys(WORDS)])
    }
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Whitespace(), pre_tokenizers.Digits(individual_digits=True)]
    )
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]",
        model_max_length=64,
    )  # fmt: skip
    fast.save_pretrained(folder)
    torch.manual_seed(0)
    config = BertConfig(
        **{
            "vocab_size": len(vocabulary),
            "hidden_size": 32,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "intermediate_size": 64,
            "max_position_embeddings": 64,
            "initializer_range": 0.1,  # tokens stay what they are, so that a head can tell them apart
            **changes,
        }
    )
    BertModel(config).save_pretrained(folder)
    weights = folder / "model.safetensors"
    return Weights(
        model_id="test/tiny-encoder",
        format="safetensors",
        quantization="F32",
        bytes=weights.stat().st_size,
        sha256=hashlib.sha256(weights.read_bytes()).hexdigest(),
        source=f"file:{folder}",
        path=str(folder),
    )


@pytest.fixture(scope="session")
def base_weights(tmp_path_factory) -> Weights:
    return base_at(tmp_path_factory.mktemp("tiny-encoder"))


def sample(number: int, text: str, answer: str, system: str = "name the intent") -> Sample:
    return Sample(
        id=f"s{number}",
        messages=(Message(role="system", content=system), Message(role="user", content=text)),
        gold=answer,
    )


def label_samples(count: int, first: int = 0) -> list[Sample]:
    kinds = list(KINDS.items())
    return [sample(n, f"{kinds[n % 3][1]} {n % 7}", kinds[n % 3][0]) for n in range(first, first + count)]


def json_samples(count: int, first: int = 0) -> list[Sample]:
    made = []
    for n in range(first, first + count):
        label, text = list(KINDS.items())[n % 3]
        number = f"{1000 + 7 * n}"
        order = number if n % 3 else None
        tags = [tag for tag, on in (("lamp", n % 2), ("glass", n % 3 == 2)) if on]
        words = f"{text} {'number ' + number if order else ''} {'lamp' if n % 2 else ''}"
        made.append(sample(n, words, json.dumps({"intent": label, "order": order, "tags": tags})))
    return made


__all__ = ["base_at", "json_samples", "label_samples", "sample", "write_dataset"]
