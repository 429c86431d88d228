"""A tiny random Llama with a tokenizer made on the spot; nothing is downloaded."""

import hashlib
from pathlib import Path

import msgspec
import pytest

pytest.importorskip("torch")

from freehold.training import base as bases
from freehold.types.dataset import Dataset, Message, Sample, Split
from freehold.types.model import Weights
from freehold.types.record import content_id

TEMPLATE = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] "
    "+ '<|im_end|>\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
TEXT = [
    "where is my lamp order now", "cancel the rug order please", "broken glass in the parcel",
    "order_status", "order_cancel", "damaged_item", "system user assistant", "name the intent",
]  # fmt: skip


def make_tokenizer():
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(TEXT, trainer)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token="<|im_end|>", bos_token="<|im_start|>", pad_token="<|im_end|>"
    )
    fast.chat_template = TEMPLATE
    return fast


def make_model(tokenizer, **changes):
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    config = LlamaConfig(
        **{
            "vocab_size": len(tokenizer),
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "max_position_embeddings": 512,
            "tie_word_embeddings": True,
            "initializer_range": 0.2,  # large enough that a frozen head can tell tokens apart
            "bos_token_id": 1,
            "eos_token_id": 2,
            "pad_token_id": 2,
            **changes,
        }
    )
    return LlamaForCausalLM(config)


@pytest.fixture(autouse=True)
def fp32(monkeypatch):
    """Numbers as exact as on any machine, whatever this one multiplies fast."""
    monkeypatch.setattr(bases, "choose_precision", lambda device: bases.Precision("fp32", "a test"))


@pytest.fixture
def bf16(monkeypatch, fp32):
    """Numbers as where a machine multiplies bf16 fast."""
    monkeypatch.setattr(bases, "choose_precision", lambda device: bases.Precision("bf16", "a test"))


@pytest.fixture(scope="session")
def tokenizer():
    return make_tokenizer()


def weights_at(folder: Path, model, tokenizer) -> Weights:
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    weights = folder / "model.safetensors"
    return Weights(
        model_id="test/tiny",
        format="safetensors",
        quantization="F32",
        bytes=weights.stat().st_size,
        sha256=hashlib.sha256(weights.read_bytes()).hexdigest(),
        source=f"file:{folder}",
        path=str(folder),
    )


@pytest.fixture(scope="session")
def tiny(tmp_path_factory, tokenizer) -> Weights:
    return weights_at(tmp_path_factory.mktemp("tiny"), make_model(tokenizer), tokenizer)


def make_sample(number: int, text: str, answer: str | None, **changes) -> Sample:
    return Sample(
        **{
            "id": f"s{number}",
            "messages": (
                Message(role="system", content="name the intent"),
                Message(role="user", content=text),
            ),
            "gold": answer,
            **changes,
        }
    )


def task_samples(count: int) -> list[Sample]:
    kinds = list(zip(TEXT[:3], TEXT[3:6], strict=True))
    return [make_sample(n, f"{kinds[n % 3][0]} {n % 7}", kinds[n % 3][1]) for n in range(count)]


@pytest.fixture
def samples(tokenizer):
    from freehold.training.formatting import format_samples

    return format_samples(tokenizer, task_samples(9), max_tokens=512).samples


def write_dataset(folder: Path, train: list[Sample], validation: list[Sample] = ()) -> Dataset:
    folder.mkdir(parents=True, exist_ok=True)
    splits = []
    for name, samples in (("train", train), ("validation", validation), ("held_out", train[:2])):
        data = b"".join(msgspec.json.encode(sample) + b"\n" for sample in samples)
        (folder / f"{name}.jsonl").write_bytes(data)
        splits.append(
            Split(
                name=name,
                file=f"{name}.jsonl",
                samples=len(samples),
                groups=len(samples),
                sha256=hashlib.sha256(data).hexdigest(),
            )
        )
    return Dataset(
        id=content_id([split.sha256 for split in splits]),
        name="tiny",
        path=str(folder),
        splits=tuple(splits),
        recipe={},
        made_from=(),
        version="test",
    )
