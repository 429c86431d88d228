"""What full fine-tuning leaves: a folder transformers and vLLM load, and, from a GGUF base, a GGUF that serves."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from freehold.errors import TrainingError
from freehold.training.base import Base, choose_precision
from freehold.training.job import Job
from freehold.training.output.artefacts import WHOLE_GGUF
from freehold.training.output.merge_job import MergeJob
from freehold.training.output.whole_tensors import PLAIN_ARCHITECTURES


def write(folder: Path, job: Job, base: Base) -> list[str]:
    """Write the model; returns the names of its files. Raises `TrainingError` and `OSError`."""
    import torch

    broken = next(
        (name for name, one in base.model.named_parameters() if not bool(one.isfinite().all())), None
    )
    if broken is not None:
        raise TrainingError(f"trained weights are not finite: {broken}", hint="lower learning_rate")
    half = choose_precision(job.config.precision, base.device).name == "bf16"
    model: Any = base.model.to(torch.bfloat16 if half else torch.float32)
    model.config.use_cache = True
    model.save_pretrained(folder)
    base.tokenizer.save_pretrained(folder)
    config = folder / "config.json"
    raw = json.loads(config.read_text(encoding="utf-8"))
    raw.pop("quantization_config", None)
    config.write_text(json.dumps(raw, indent=2) + "\n", encoding="utf-8")
    if job.base.format == "gguf" and base.architecture in PLAIN_ARCHITECTURES:
        from freehold.training.output import merge_gguf

        merge_gguf.merge(
            MergeJob(
                weights=job.base,
                adapter_path=str(folder),
                target=str(folder / WHOLE_GGUF),
                quantization="Q8_0",
            )
        )
    wanted = (".safetensors", ".json", ".gguf", ".jinja", ".model", ".txt")
    return sorted(file.name for file in folder.iterdir() if file.is_file() and file.suffix in wanted)
