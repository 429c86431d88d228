"""An adapter merged into its base: plain weights that any engine serves, without knowing of adapters.

::

    python -m freehold.training.output.merge < job.json

A process of its own, because the whole model is in memory. Two targets:

- a folder of safetensors with tokenizer, template and configuration (16 bits unless asked otherwise);
- a GGUF file: the base's own file with the adapted tensors replaced (see `freehold.training.output.merge_gguf`).

Merging adds ``scale · B·A`` to a layer in float32 and rounds once. Where the base is 4-bit, the sum is written wider:
rounding it back to 4 bits would lose part of what was learned.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import msgspec

from freehold.environment import inherited
from freehold.errors import FreeholdError, StorageError, TrainingError
from freehold.training import base as bases
from freehold.training.output import merge_gguf
from freehold.training.output.artefacts import Merged, MergeJob
from freehold.types.config import FinetuneConfig

_QUIET = {
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_VERBOSITY": "error",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "TQDM_DISABLE": "1",
}


def merge(job: MergeJob) -> Merged:
    """Merge in a child process. Raises `MissingExtraError`, `TrainingError` and `StorageError`."""
    bases.require()
    done = subprocess.run(
        [sys.executable, "-m", __name__],
        input=msgspec.json.encode(job),
        capture_output=True,
        check=False,
        env={**inherited(os.environ), **_QUIET},
    )
    if done.returncode == 0:
        return msgspec.json.decode(done.stdout, type=Merged)
    said = [line for line in done.stderr.decode(errors="replace").splitlines() if line.strip()]
    last = said[-1].strip() if said else f"exit code {done.returncode}"
    if "no space left" in last.lower():
        raise StorageError(f"the disk filled up while merging into {job.target}", hint="free some space")
    if done.returncode == -9:
        last = "it was killed, most likely for memory: the whole model is held once in 16 bits"
    message, _, hint = last.partition("\t")
    raise TrainingError(f"the adapter cannot be merged: {message[:400]}", hint=hint or None)


def merge_here(job: MergeJob) -> Merged:
    """Merge in this process. Raises `TrainingError`, `WeightsError`, and `OSError` from the disk."""
    if job.quantization is not None:
        return merge_gguf.merge(job)
    return _merge_safetensors(job)


def _merge_safetensors(job: MergeJob) -> Merged:
    import torch
    from peft import PeftModel

    # Float32 while merging: the base's numbers plus the adapter's, rounded once at the end.
    loaded = bases.load(job.weights, FinetuneConfig(), exact=True)
    model: Any = loaded.model
    model.set_attn_implementation("sdpa")
    folder = Path(job.adapter_path)
    changed = 0
    if (folder / "adapter_config.json").is_file():
        with warnings.catch_warnings():
            # PEFT asks transformers by a name that transformers 5 deprecates.
            warnings.filterwarnings("ignore", "`is_gradient_checkpointing`", FutureWarning)
            adapted = PeftModel.from_pretrained(model, str(folder))
        changed = sum(hasattr(module, "lora_A") for module in adapted.modules())
        model = adapted.merge_and_unload(safe_merge=True)
    else:
        from safetensors.torch import load_file

        state = load_file(str(folder / "model.safetensors"))
        changed = len(state)
        missing, unexpected = model.load_state_dict(state, strict=False)
        tied = {"lm_head.weight"} if model.config.get_text_config().tie_word_embeddings else set()
        if unexpected or set(missing) - tied:
            raise TrainingError(f"the trained weights do not fit the base: {[*unexpected, *missing][0]}")
    target = Path(job.target)
    target.mkdir(parents=True, exist_ok=True)
    model.to({"bf16": torch.bfloat16, "f16": torch.float16, "f32": torch.float32}[job.precision])
    model.config.use_cache = True
    model.save_pretrained(target)
    tokenizer = loaded.tokenizer
    template = folder / "chat_template.jinja"
    if template.is_file():  # the one that was trained with
        tokenizer.chat_template = template.read_text(encoding="utf-8")
    tokenizer.save_pretrained(target)
    config = target / "config.json"
    raw = json.loads(config.read_text(encoding="utf-8"))
    raw.pop("quantization_config", None)  # the numbers are plain now
    config.write_text(json.dumps(raw, indent=2) + "\n", encoding="utf-8")
    return Merged(files=tuple(sorted(file.name for file in target.iterdir())), changed=changed)


def main() -> int:
    """Read a job from stdin, merge, tell what was written on stdout."""
    job = msgspec.json.decode(sys.stdin.buffer.read(), type=MergeJob)
    try:
        merged = merge_here(job)
    except FreeholdError as error:
        print(f"{error.message}\t{error.hint or ''}", file=sys.stderr)  # noqa: T201 - the parent reads it
        return 1
    sys.stdout.buffer.write(msgspec.json.encode(merged))
    return 0


if __name__ == "__main__":
    sys.exit(main())
