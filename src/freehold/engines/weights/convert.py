"""GGUF to safetensors, number for number: for engines that read only the latter.

::

    python -m freehold.engines.weights.convert < job.json

A process of its own, because the whole model is in memory for a moment, and torch stays out of the caller's. The
weights are the GGUF's own: quantization is not undone, its numbers are written in 16 bits. So what was trained on the
GGUF fits.

Covered: architectures that transformers reads from GGUF (its documentation lists them).
Not covered: split GGUFs; tokenizers that transformers cannot rebuild (it says so).
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import msgspec

from freehold.environment import inherited
from freehold.errors import MissingExtraError, StorageError, WeightsError
from freehold.types.record import Record

QUIET = {
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_VERBOSITY": "error",
    "TQDM_DISABLE": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
}


class Conversion(Record, frozen=True, kw_only=True):
    """What to convert. `chat_template` is for weights that carry none."""

    source: str
    target: str
    chat_template: str | None = None


def convert(job: Conversion) -> None:
    """Convert in a child process. Raises `MissingExtraError`, `WeightsError` and `StorageError`."""
    for module in ("torch", "transformers", "gguf"):
        if importlib.util.find_spec(module) is None:
            raise MissingExtraError("converting GGUF to safetensors", "train")
    done = subprocess.run(
        [sys.executable, "-m", __name__],
        input=msgspec.json.encode(job),
        capture_output=True,
        check=False,
        env={**inherited(os.environ), **QUIET},
    )
    if done.returncode == 0:
        return
    said = [line for line in done.stderr.decode(errors="replace").splitlines() if line.strip()]
    last = said[-1].strip() if said else f"exit code {done.returncode}"
    if "no space left" in last.lower():
        raise StorageError(f"the disk filled up while converting {job.source}", hint="free some space")
    if done.returncode == -9:
        last = "it was killed, most likely for memory: all weights are held in 16 bits at once"
    raise WeightsError(
        f"{job.source} cannot be converted: {last[:400]}",
        hint="serve it with the llamacpp engine, or pull safetensors of the same model",
    )


def main() -> None:
    """Read a job from stdin, write the folder."""
    job = msgspec.json.decode(sys.stdin.buffer.read(), type=Conversion)
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    source, target = Path(job.source), Path(job.target)
    target.mkdir(parents=True, exist_ok=True)
    tokenizer = AutoTokenizer.from_pretrained(source.parent, gguf_file=source.name)
    if job.chat_template is not None:
        tokenizer.chat_template = job.chat_template
    tokenizer.save_pretrained(target)
    make: type = GgufConfig
    model = AutoModelForCausalLM.from_pretrained(
        source.parent,
        gguf_file=source.name,
        dtype=torch.bfloat16,
        quantization_config=make(dequantize=True, gguf_file=source.name),
    )
    model.save_pretrained(target)
    # The configuration must not call the numbers quantized: they are plain now.
    config = target / "config.json"
    raw = json.loads(config.read_text(encoding="utf-8"))
    raw.pop("quantization_config", None)
    config.write_text(json.dumps(raw, indent=2) + "\n", encoding="utf-8")


RECORD_NAME = "converted.json"


class ConversionRecord(Record, frozen=True, kw_only=True):
    """The record of a conversion. `source_sha256` is the hash of the weights that were converted."""

    source_sha256: str
    source_path: str
    quantization: str
    version: str


def read_conversion(folder: Path) -> ConversionRecord | None:
    """The record in a folder of weights, when freehold made them by a conversion."""
    try:
        return msgspec.json.decode((folder / RECORD_NAME).read_bytes(), type=ConversionRecord)
    except (OSError, msgspec.MsgspecError):
        return None


def source_of(path: str | None) -> str | None:
    """The hash of the weights that those at `path` were converted from.

    An adapter trained on a GGUF fits the safetensors that were made of it: they are the same numbers.
    """
    found = read_conversion(Path(path)) if path is not None else None
    return None if found is None else found.source_sha256


if __name__ == "__main__":
    main()
