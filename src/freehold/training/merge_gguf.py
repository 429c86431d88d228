"""An adapter merged into a GGUF: the base's file again, with the adapted tensors replaced.

Everything else (metadata, tokenizer, template, tensors without an adapter) is copied as it stands, so what llama.cpp
made of the base it makes of the result. Adapted tensors are dequantized, get ``scale · B·A`` added in float32 and are
written in the wanted type; a type whose blocks don't divide a row becomes F16 for that tensor.

Covered: GGUF bases in one file whose adapter layers llama.cpp has names for.
Not covered: DoRA (merge to safetensors), split files, K-quants (their encoder is llama.cpp's `llama-quantize`).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from freehold.errors import TrainingError
from freehold.training import whole
from freehold.training.merge import Merged, MergeJob

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

    def of(self, name: str) -> np.ndarray[Any, Any] | None:
        """The change of one tensor, (rows, columns) float32; None where there is no adapter."""
        pair = self._halves.get(name)
        if pair is None:
            return None
        change: np.ndarray[Any, Any] = (pair["b"] @ pair["a"]) * (self._alpha / pair["a"].shape[0])
        return change


def merge(job: MergeJob) -> Merged:
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
    is_whole = (folder / whole.WEIGHTS).is_file()
    if not is_whole and not adapter.is_file():
        config = folder / "adapter_config.json"
        dora = config.is_file() and json.loads(config.read_text(encoding="utf-8")).get("use_dora")
        raise TrainingError(
            "the adapter has no GGUF half" + (": llama.cpp knows no DoRA" if dora else ""),
            hint="export --as merged writes safetensors",
        )
    reader = gguf.GGUFReader(job.weights.path)
    architecture = str(_value(reader, "general.architecture"))
    deltas = whole.WholeTensors(folder, architecture) if is_whole else _Deltas(adapter)
    missing = deltas.names() - {tensor.name for tensor in reader.tensors}
    if missing:
        raise TrainingError(f"the adapter changes {min(missing)}, which {job.weights.model_id} does not have")
    target = Path(job.target)
    target.parent.mkdir(parents=True, exist_ok=True)
    writer = gguf.GGUFWriter(str(target), architecture)
    _copy_metadata(reader, writer, wanted)
    changed = 0
    for tensor in reader.tensors:
        change = deltas.of(tensor.name)
        if change is None:
            writer.add_tensor(tensor.name, tensor.data, raw_dtype=tensor.tensor_type)
            continue
        if is_whole:
            values = change
        else:
            values = gguf.dequantize(tensor.data, tensor.tensor_type).astype("float32", copy=False) + change
        # Norms and biases are one row each, which llama.cpp keeps in float32.
        kind = gguf.GGMLQuantizationType.F32 if values.ndim == 1 else _kind(wanted, values.shape[-1])
        writer.add_tensor(tensor.name, gguf.quantize(values, kind), raw_dtype=kind)
        changed += 1
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return Merged(files=(target.name,), changed=changed)


def _kind(wanted: str, columns: int) -> Any:
    import gguf

    kind = gguf.GGMLQuantizationType[wanted]
    block, _ = gguf.GGML_QUANT_SIZES[kind]
    return kind if columns % block == 0 else gguf.GGMLQuantizationType.F16


def _value(reader: Any, key: str) -> Any:
    field = reader.get_field(key)
    return None if field is None else field.contents()


def _copy_metadata(reader: Any, writer: Any, wanted: str) -> None:
    """Every key of the base, with the file type of what is written now."""
    import gguf

    own = {gguf.Keys.General.ARCHITECTURE, gguf.Keys.General.FILE_TYPE}
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
