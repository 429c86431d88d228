"""An adapter merged into its base: a GGUF file, or a folder of safetensors.

Of a GGUF it is the base's file again, with the adapted tensors replaced.

Everything else (metadata, tokenizer, tensors without an adapter) is copied as it stands, so what llama.cpp made of the
base it makes of the result; the chat template is the one that was trained with. Adapted tensors are dequantized, get
``scale · B·A`` added in float32 and are written in the wanted type; a type whose blocks don't divide a row becomes F16
for that tensor.

Covered: GGUF bases in one file, adapters that were trained here.
Not covered: split files, K-quants (their encoder is llama.cpp's `llama-quantize`).

::

    python -m freehold.training.merge < job.json

A process of its own, because the whole model is in memory. Two targets:

- a folder of safetensors with tokenizer, template and configuration (16 bits unless asked otherwise);
- a GGUF file: the base's own file with the adapted tensors replaced.

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
from typing import TYPE_CHECKING, Any

import msgspec

from freehold.environment import inherited
from freehold.errors import FreeholdError, StorageError, TrainingError
from freehold.training import base as bases
from freehold.training.artefacts import (
    TEMPLATE,
    Merged,
    MergeJob,
)
from freehold.types.config import FinetuneConfig

if TYPE_CHECKING:
    import numpy as np


QUANTIZATIONS = ("F32", "F16", "BF16", "Q8_0", "Q5_1", "Q5_0", "Q4_1", "Q4_0")
"""Types the `gguf` library can encode."""


class _Deltas:
    """``scale · B·A`` of every adapted layer, by its GGUF tensor name, in the row order of llama.cpp."""

    def __init__(self, adapter: Path) -> None:
        from gguf import GGUFReader

        reader = GGUFReader(str(adapter))
        halves: dict[str, dict[str, Any]] = {}
        for tensor in reader.tensors:
            name, _, half = tensor.name.rpartition(".lora_")
            halves.setdefault(name, {})[half] = tensor.data
        field = reader.get_field("adapter.lora.alpha")
        alpha = None if field is None else float(field.contents())
        if alpha is None or any(set(pair) != {"a", "b"} for pair in halves.values()):
            raise TrainingError(f"{adapter} is not a whole LoRA adapter")
        self._halves = halves
        self._alpha = alpha

    def names(self) -> set[str]:
        return set(self._halves)

    def merged(self, name: str, base: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """A tensor of `names` as it is to be, from the base's, (rows, columns) float32."""
        pair = self._halves[name]
        total: np.ndarray[Any, Any] = base + (pair["b"] @ pair["a"]) * (self._alpha / pair["a"].shape[0])
        return total


def merge_gguf(job: MergeJob) -> Merged:
    """Write the merged GGUF. Raises `TrainingError` for what can't be merged so, with what can be done instead."""
    import gguf

    wanted = job.quantization
    if wanted not in QUANTIZATIONS:
        raise TrainingError(f"no encoder for {wanted}", hint=f"here: {', '.join(QUANTIZATIONS)}")
    if job.weights.format != "gguf" or job.weights.path is None:
        raise TrainingError(
            f"a merged GGUF is made from a base that is a GGUF; {job.weights.model_id} is {job.weights.format}",
            hint="export --as merged, then llama.cpp's convert_hf_to_gguf.py makes a GGUF of the folder",
        )
    folder = Path(job.adapter_path)
    adapter = folder / "adapter.gguf"
    reader = gguf.GGUFReader(job.weights.path)
    architecture = str(_value(reader, "general.architecture"))
    if not adapter.is_file():
        raise TrainingError(f"{folder} holds no adapter for llama.cpp")
    learned = _Deltas(adapter)
    names = learned.names()
    missing = names - {tensor.name for tensor in reader.tensors}
    if missing:
        raise TrainingError(f"the adapter changes {min(missing)}, which {job.weights.model_id} does not have")
    target = Path(job.target)
    target.parent.mkdir(parents=True, exist_ok=True)
    writer = gguf.GGUFWriter(str(target), architecture)
    _copy_metadata(reader, writer, wanted, _template(folder))
    changed = 0
    for tensor in reader.tensors:
        if tensor.name not in names:
            writer.add_tensor(tensor.name, tensor.data, raw_dtype=tensor.tensor_type)
            continue
        values = learned.merged(tensor.name, _dequantized(tensor))
        # Norms and biases are one row each, which llama.cpp keeps in float32.
        kind = gguf.GGMLQuantizationType.F32 if values.ndim == 1 else _kind(wanted, values.shape[-1])
        writer.add_tensor(tensor.name, gguf.quantize(values, kind), raw_dtype=kind)
        changed += 1
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return Merged(files=(target.name,), changed=changed)


def _dequantized(tensor: Any) -> np.ndarray[Any, Any]:
    import gguf

    values: np.ndarray[Any, Any] = gguf.dequantize(tensor.data, tensor.tensor_type)
    return values.astype("float32", copy=False)


def _kind(wanted: str, columns: int) -> Any:
    import gguf

    kind = gguf.GGMLQuantizationType[wanted]
    block, _ = gguf.GGML_QUANT_SIZES[kind]
    return kind if columns % block == 0 else gguf.GGMLQuantizationType.F16


def _value(reader: Any, key: str) -> Any:
    field = reader.get_field(key)
    return None if field is None else field.contents()


def _template(folder: Path) -> str | None:
    file = folder / TEMPLATE
    return file.read_text(encoding="utf-8") if file.is_file() else None


def _copy_metadata(reader: Any, writer: Any, wanted: str, template: str | None) -> None:
    """Every key of the base, with the file type of what is written now and the template that was trained with."""
    import gguf

    own = {gguf.Keys.General.ARCHITECTURE, gguf.Keys.General.FILE_TYPE}
    if template is not None:
        own.add(gguf.Keys.Tokenizer.CHAT_TEMPLATE)
        writer.add_chat_template(template)
    for field in reader.fields.values():
        # The writer makes these itself.
        if field.name in own or field.name.startswith("GGUF."):
            continue
        inner = field.types[-1] if field.types[0] == gguf.GGUFValueType.ARRAY else None
        value = field.contents()
        if inner is not None and not value:  # an empty list has no type of its own
            continue
        writer.add_key_value(field.name, value, field.types[0], sub_type=inner)
    known = getattr(gguf.LlamaFileType, f"MOSTLY_{wanted}", None)
    if wanted == "F32":
        known = gguf.LlamaFileType.ALL_F32
    if known is not None:
        writer.add_file_type(known)


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
        return merge_gguf(job)
    return _merge_safetensors(job)


def _merge_safetensors(job: MergeJob) -> Merged:
    import torch
    from peft import PeftModel

    # Float32 while merging: the base's numbers plus the adapter's, rounded once at the end.
    loaded = bases.load(job.weights, FinetuneConfig(), exact=True)
    model: Any = loaded.model
    model.set_attn_implementation("sdpa")
    folder = Path(job.adapter_path)
    with warnings.catch_warnings():
        # PEFT asks transformers by a name that transformers 5 deprecates.
        warnings.filterwarnings("ignore", "`is_gradient_checkpointing`", FutureWarning)
        adapted = PeftModel.from_pretrained(model, str(folder))
    changed = sum(hasattr(module, "lora_A") for module in adapted.modules())
    model = adapted.merge_and_unload(safe_merge=True)
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
