"""In which form a model's safetensors are, as the ``quantization_config`` of its config.json says."""

from __future__ import annotations

from typing import Any, NamedTuple

from freehold.types.model import WeightsForm


class StoredForm(NamedTuple):
    """`form` is of linear layers (with experts: of the routed ones), `dense` of the others where it differs."""

    form: WeightsForm
    dense: WeightsForm | None = None


def form_of_config(raw: dict[str, Any]) -> StoredForm | None:
    """The form that a config names; None where it names none (16 bits), or one that is not known here."""
    config = raw.get("quantization_config") or (raw.get("text_config") or {}).get("quantization_config")
    if not isinstance(config, dict):
        return None
    method = str(config.get("quant_method", "")).lower()
    form = _by_method(method, config)
    if form is None:
        return None
    spared = " ".join(
        str(name) for key in ("ignore", "modules_to_not_convert") for name in config.get(key) or ()
    )
    experts_only = "self_attn" in spared.replace("self_attn.indexer", "") and form not in ("FP8", "INT8")
    return StoredForm(form, "BF16" if experts_only or method == "mxfp4" else None)


def _by_method(method: str, config: dict[str, Any]) -> WeightsForm | None:
    four: dict[str, WeightsForm] = {"awq": "AWQ", "gptq": "GPTQ"}
    if method in four:
        return four[method] if config.get("bits", 4) == 4 else ("INT8" if config.get("bits") == 8 else None)
    if method == "compressed-tensors":
        layout = str(config.get("format", ""))
        named: dict[str, WeightsForm] = {
            "mxfp4-pack-quantized": "MXFP4",
            "nvfp4-pack-quantized": "NVFP4",
            "float-quantized": "FP8",
            "int-quantized": "INT8",
        }
        return named.get(layout) or ("INT4" if layout == "pack-quantized" and _bits(config) == 4 else None)
    if method == "modelopt" or "quant_algo" in config:
        algorithms: dict[str, WeightsForm] = {"FP8": "FP8", "NVFP4": "NVFP4"}
        return algorithms.get(str(config.get("quant_algo", "")).upper())
    plain: dict[str, WeightsForm] = {"fp8": "FP8", "fbgemm_fp8": "FP8", "mxfp4": "MXFP4"}
    return plain.get(method)


def _bits(config: dict[str, Any]) -> int | None:
    groups = config.get("config_groups")
    first: object = next(iter(groups.values()), None) if isinstance(groups, dict) else None
    weights = first.get("weights") if isinstance(first, dict) else None
    return weights.get("num_bits") if isinstance(weights, dict) else None
