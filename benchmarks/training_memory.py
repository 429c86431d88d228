"""Predicted memory of training against the measured peak of short runs.

    python benchmarks/training_memory.py [--gguf FILE] [--only NAME] [--write docs/reference/memory-fit.md]

Random bases of several sizes are made on the spot and trained for a few steps in the worker that `freehold
train` uses; its own peak of resident memory is read from the manifest. `--gguf` adds real weights.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from freehold import training
from freehold.hardware.gguf_header import read_header, shape_from_gguf
from freehold.hardware.hf_config import shape_from_config
from freehold.hardware.training_memory import TrainingLoad, training_parts
from freehold.types.config import FinetuneConfig
from freehold.types.dataset import Dataset, Message, Sample, Split
from freehold.types.model import Shape, Weights
from freehold.types.record import content_id

MIB = 1 << 20
TEMPLATE = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] "
    "+ '<|im_end|>\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
WORDS = (
    "where", "is", "my", "lamp", "order", "now", "cancel", "the", "rug", "please", "broken", "glass", "parcel",
)  # fmt: skip


class Case(NamedTuple):
    """One run: a base, samples of about `sample_tokens` tokens, and how they are trained."""

    name: str
    base: dict[str, Any] | None
    """Sizes of a random base; None: the GGUF file."""
    sample_tokens: int
    batch_size: int
    method: str = "lora"
    pack_tokens: int = 4096
    kind: str = "llama"
    r: int = 16


def _base(hidden: int, layers: int, heads: int, kv_heads: int, ffn: int, vocabulary: int) -> dict[str, Any]:
    return {
        "hidden_size": hidden, "num_hidden_layers": layers, "num_attention_heads": heads,
        "num_key_value_heads": kv_heads, "intermediate_size": ffn, "vocab_size": vocabulary,
        "max_position_embeddings": 4096, "tie_word_embeddings": True,
    }  # fmt: skip


SMALL = _base(384, 12, 6, 2, 1024, 16384)
MIDDLE = _base(576, 30, 9, 3, 1536, 49152)
LARGE = _base(960, 32, 15, 5, 2560, 49152)

CASES = (
    Case("Llama 28M", SMALL, 128, 32),
    Case("Llama 28M", SMALL, 512, 8),
    Case("Llama 28M", SMALL, 128, 8),
    Case("Llama 135M", MIDDLE, 128, 8),
    Case("Llama 135M", MIDDLE, 256, 8),
    Case("Llama 362M", LARGE, 128, 8),
    Case("Llama 362M", LARGE, 256, 8, pack_tokens=1024),
    Case("Qwen2 28M, modules", SMALL, 128, 16, kind="qwen2"),
    Case("Qwen2 28M, modules", SMALL, 512, 4, kind="qwen2"),
    Case("Qwen2 135M, modules", MIDDLE, 128, 8, kind="qwen2"),
    Case("Llama 135M, 4 bits", MIDDLE, 128, 8, method="qlora"),
    Case("SmolLM2-135M Q4_1", None, 128, 16),
    Case("SmolLM2-135M Q4_1", None, 256, 8),
)


def make_base(case: Case, folder: Path) -> tuple[Weights, Shape]:
    """A random base with a small tokenizer, saved in bf16."""
    import torch
    import transformers
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(
        [" ".join(WORDS)],
        trainers.BpeTrainer(
            vocab_size=400,
            special_tokens=["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    fast = transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token="<|im_end|>", bos_token="<|im_start|>", pad_token="<|im_end|>"
    )
    fast.chat_template = TEMPLATE
    kinds: dict[str, tuple[Any, Any]] = {
        "llama": (transformers.LlamaConfig, transformers.LlamaForCausalLM),
        "qwen2": (transformers.Qwen2Config, transformers.Qwen2ForCausalLM),
    }
    config, model = kinds[case.kind]
    torch.manual_seed(0)
    made = model(config(**case.base, bos_token_id=1, eos_token_id=2, pad_token_id=2)).to(torch.bfloat16)
    made.save_pretrained(folder)
    fast.save_pretrained(folder)
    file = folder / "model.safetensors"
    weights = Weights(
        model_id=f"random/{case.name}",
        format="safetensors",
        quantization="BF16",
        bytes=file.stat().st_size,
        sha256=hashlib.sha256(file.read_bytes()).hexdigest(),
        source=f"file:{folder}",
        path=str(folder),
    )
    return weights, shape_from_config(folder).shape


def make_dataset(folder: Path, tokens: int, count: int, encode: Any) -> Dataset:
    """Samples of just under `tokens` tokens, none alike, with a short answer."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for number in range(count):
        words = [str(number)]
        while len(encode(" ".join(words))) < tokens - 24:
            words.append(WORDS[(number * 7 + len(words) * 3) % len(WORDS)])
        rows.append(
            Sample(
                id=f"s{number}",
                messages=(Message(role="user", content=" ".join(words)),),
                gold="order_status",
            )
        )
    data = b"".join(msgspec.json.encode(row) + b"\n" for row in rows)
    (folder / "train.jsonl").write_bytes(data)
    split = Split(
        name="train",
        file="train.jsonl",
        samples=len(rows),
        groups=len(rows),
        sha256=hashlib.sha256(data).hexdigest(),
    )
    return Dataset(
        id=content_id([split.sha256]), name="memory", path=str(folder), splits=(split,), recipe={},
        made_from=(), version="benchmark",
    )  # fmt: skip


class Row(NamedTuple):
    """One run: bytes predicted and measured."""

    case: Case
    tokens: int
    predicted: int
    measured: int
    parts: dict[str, int]

    @property
    def error(self) -> float:
        return self.predicted / self.measured - 1


def run(case: Case, folder: Path, gguf: Path | None, steps: int) -> Row:
    from freehold.training.base import load_tokenizer

    if case.base is None:
        assert gguf is not None
        shape = shape_from_gguf(read_header(gguf))
        weights = Weights(
            model_id="gguf", format="gguf", quantization="Q4_1", bytes=gguf.stat().st_size,
            sha256=hashlib.sha256(gguf.read_bytes()).hexdigest(), source=f"file:{gguf}", path=str(gguf),
        )  # fmt: skip
    else:
        weights, shape = make_base(case, folder / "base")
    tokenizer = load_tokenizer(weights)
    dataset = make_dataset(folder / "data", case.sample_tokens, case.batch_size * steps, tokenizer.encode)
    config = FinetuneConfig(
        method=case.method,  # type: ignore[arg-type]
        r=case.r,
        epochs=1,
        batch_size=case.batch_size,
        max_tokens=4096,
    )
    job = training.make(
        config=config, dataset=dataset, base=weights, out_dir=folder / "out", name="run", threads=2
    )
    job = msgspec.structs.replace(job, pack_tokens=case.pack_tokens)
    for event in training.train(job):
        if event.kind in ("error", "start"):
            print("  ", event.message, flush=True)
    adapter = training.finished_adapter(job)
    assert adapter is not None and adapter.peak_memory_bytes is not None
    load = TrainingLoad.of(
        config,
        sample_tokens=case.sample_tokens,
        target_tokens=8,
        value_bytes=2 if adapter.metadata["precision"]["name"] == "bf16" else 4,
        device="cpu",
    )
    at_once = min(load.samples, max(1, case.pack_tokens // case.sample_tokens))
    load = load._replace(samples=at_once, target_tokens=8 * at_once)
    parts = training_parts(shape, load)
    return Row(
        case,
        load.packed_tokens,
        sum(part.bytes for part in parts),
        adapter.peak_memory_bytes,
        {part.name: part.bytes for part in parts},
    )


def line(row: Row) -> str:
    case = row.case
    return (
        f"| {case.name} | {case.method} | {case.batch_size} × {case.sample_tokens} | {row.tokens:,} | "
        f"{row.predicted / MIB:,.0f} | {row.measured / MIB:,.0f} | {row.error:+.1%} |"
    )


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--gguf", type=Path)
    arguments.add_argument("--only")
    arguments.add_argument("--steps", type=int, default=4)
    arguments.add_argument("--out", type=Path, help="Write the rows as JSON lines.")
    asked = arguments.parse_args()
    for case in CASES:
        if (asked.only and asked.only not in case.name) or (case.base is None and asked.gguf is None):
            continue
        with tempfile.TemporaryDirectory() as folder:
            row = run(case, Path(folder), asked.gguf, asked.steps)
        print(line(row), flush=True)
        print("  ", {name: round(size / MIB) for name, size in row.parts.items()}, flush=True)
        if asked.out:
            with asked.out.open("a") as file:
                file.write(
                    json.dumps({**case._asdict(), "predicted": row.predicted, "measured": row.measured})
                    + "\n"
                )


if __name__ == "__main__":
    main()
