"""Bytes of weights by quantization, tensor by tensor, as llama.cpp's quantizer chooses types.

A quantization's name (``Q4_K_M``) is a recipe: most tensors get one type, some a better one, and rows that a
type's blocks do not divide fall back to another. The rules follow `llama_tensor_get_type` in llama.cpp's
src/llama-quant.cpp.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable
from typing import NamedTuple

from freehold.errors import UsageError
from freehold.hardware.tensors import Tensor, tensors
from freehold.types.model import Shape

BLOCKS: dict[str, tuple[int, int]] = {
    "F32": (1, 4),
    "F16": (1, 2),
    "BF16": (1, 2),
    "I8": (1, 1),
    "I16": (1, 2),
    "I32": (1, 4),
    "I64": (1, 8),
    "F64": (1, 8),
    "Q4_0": (32, 18),
    "Q4_1": (32, 20),
    "Q5_0": (32, 22),
    "Q5_1": (32, 24),
    "Q8_0": (32, 34),
    "Q8_1": (32, 40),
    "Q2_K": (256, 84),
    "Q3_K": (256, 110),
    "Q4_K": (256, 144),
    "Q5_K": (256, 176),
    "Q6_K": (256, 210),
    "Q8_K": (256, 292),
    "IQ2_XXS": (256, 66),
    "IQ2_XS": (256, 74),
    "IQ3_XXS": (256, 98),
    "IQ1_S": (256, 50),
    "IQ4_NL": (32, 18),
    "IQ3_S": (256, 110),
    "IQ2_S": (256, 82),
    "IQ4_XS": (256, 136),
    "IQ1_M": (256, 56),
    "TQ1_0": (256, 54),
    "TQ2_0": (256, 66),
    "MXFP4": (32, 17),
}
"""ggml type → (weights per block, bytes per block)."""

BASE_TYPES: dict[str, str] = {
    "F32": "F32",
    "F16": "F16",
    "BF16": "BF16",
    "Q8_0": "Q8_0",
    "Q6_K": "Q6_K",
    "Q5_K_M": "Q5_K",
    "Q5_K_S": "Q5_K",
    "Q5_1": "Q5_1",
    "Q5_0": "Q5_0",
    "Q4_K_M": "Q4_K",
    "Q4_K_S": "Q4_K",
    "Q4_1": "Q4_1",
    "Q4_0": "Q4_0",
    "IQ4_NL": "IQ4_NL",
    "IQ4_XS": "IQ4_XS",
    "Q3_K_L": "Q3_K",
    "Q3_K_M": "Q3_K",
    "Q3_K_S": "Q3_K",
    "IQ3_M": "IQ3_S",
    "IQ3_S": "IQ3_S",
    "IQ3_XS": "IQ3_S",
    "IQ3_XXS": "IQ3_XXS",
    "Q2_K": "Q2_K",
    "Q2_K_S": "Q2_K",
    "IQ2_M": "IQ2_S",
    "IQ2_S": "IQ2_XS",
    "IQ2_XS": "IQ2_XS",
    "IQ2_XXS": "IQ2_XXS",
    "IQ1_M": "IQ1_M",
    "IQ1_S": "IQ1_S",
    "MXFP4_MOE": "MXFP4",
}
"""Quantization → the type most tensors get, largest first."""

FALLBACKS: dict[str, str] = {"Q4_K": "Q5_0", "Q5_K": "Q5_1", "Q6_K": "Q8_0"}
"""Where a row is not a multiple of 256: the replacement type (all others become IQ4_NL)."""

_ONE_OR_TWO_BITS = ("IQ1_S", "IQ1_M", "IQ2_XXS", "IQ2_XS", "IQ2_S", "IQ2_M")
_EIGHT_EXPERT_OUTPUT = (
    "Q2_K", "IQ3_XS", "IQ3_XXS", "Q3_K_S", "Q3_K_M", "IQ4_NL", "Q4_K_S", "Q4_K_M", "IQ3_S", "IQ3_M", "IQ4_XS",
)  # fmt: skip
_KEPT_F32 = (
    "_norm.weight",
    "ffn_gate_inp.weight",
    "ssm_conv1d.weight",
    "shortconv.conv.weight",
    "ssm_a",
    "ssm_d",
)


LARGE_HEADS: dict[str, str] = {
    "Q6_K_L": "Q6_K",
    "Q5_K_L": "Q5_K_M",
    "Q4_K_L": "Q4_K_M",
    "Q3_K_XL": "Q3_K_L",
    "Q2_K_L": "Q2_K",
}
"""Repackers' names for a recipe whose embedding and output are kept at Q8_0."""

OTHER_NAMES: dict[str, str] = {
    "Q4_0_4_4": "Q4_0",
    "Q4_0_4_8": "Q4_0",
    "Q4_0_8_8": "Q4_0",
    "FP16": "F16",
    "FP32": "F32",
}

FIRST_YEAR = "@2023"
"""Suffix for files made before 2024, when Q2_K kept feed-forward layers at Q3_K and mixtures of eight experts
had no rules of their own (``Q2_K@2023``)."""


def known(quantization: str) -> str:
    """The recipe's usual spelling. Raises `UsageError` for one nothing here knows."""
    name = quantization.upper().replace("-", "_")
    name = OTHER_NAMES.get(name, name)
    if not is_known(name):
        raise UsageError(f"quantization {quantization} is not known", hint=f"known: {', '.join(BASE_TYPES)}")
    return name


def is_known(name: str) -> bool:
    """Whether a recipe is known by its usual spelling."""
    bare = name.removesuffix(FIRST_YEAR)
    return bare in BASE_TYPES or bare in LARGE_HEADS


def row_bytes(type_name: str, values: int) -> int:
    """Bytes of `values` weights of a ggml type; `values` must fill whole blocks."""
    size, width = BLOCKS[type_name]
    return values // size * width


HEADER_BYTES_PER_TOKEN = 36
"""Text, score, type and merges of one vocabulary entry: 25 (Gemma) to 61 (Llama 3) in published files."""


class TypedTensor(NamedTuple):
    """A tensor with the type it is stored in."""

    tensor: Tensor
    type: str

    @property
    def bytes(self) -> int:
        return row_bytes(self.type, self.tensor.values)


REPACKED_TYPES: dict[str, frozenset[str]] = {
    "AVX2": frozenset({"Q4_0", "Q4_K", "IQ4_NL", "MXFP4"}),
    "NEON": frozenset({"Q4_0", "Q4_K", "Q5_K", "Q6_K", "Q8_0", "IQ4_NL", "MXFP4"}),
}
"""Instruction set → types llama.cpp keeps a second copy of, in an order that suits the CPU (its own
src/ggml-cpu/repack.cpp). AVX2 was seen in load reports here, NEON was not measured."""


def repacked_bytes(stored: Iterable[tuple[str, tuple[int, ...], str]], isa: tuple[str, ...]) -> int:
    """Bytes of that copy for tensors given as name, dimensions, type. Embeddings and three-dimensional
    tensors other than experts are read as they are."""
    types = next((REPACKED_TYPES[name] for name in REPACKED_TYPES if name in isa), frozenset())
    total = 0
    for name, dims, kind in stored:
        matrix = len(dims) == 2 or "_exps." in name
        if kind in types and matrix and dims[1] % 8 == 0 and name != "token_embd.weight":
            total += row_bytes(kind, math.prod(dims))
    return total


@functools.lru_cache(maxsize=512)
def quantize(shape: Shape, quantization: str) -> tuple[TypedTensor, ...]:
    """Every tensor of a shape with the type the recipe gives it."""
    name = known(quantization)
    return tuple(_Recipe(shape, name).types(tensors(shape)))


@functools.lru_cache(maxsize=512)
def _bytes_by_type(shape: Shape, quantization: str) -> int:
    return sum(typed.bytes for typed in quantize(shape, quantization))


def file_bytes(shape: Shape, quantization: str) -> int:
    """Bytes of a GGUF file: all tensors and a header, which is mostly the vocabulary."""
    return weights_bytes(shape, quantization) + HEADER_BYTES_PER_TOKEN * shape.vocabulary


def weights_bytes(shape: Shape, quantization: str) -> int:
    """Bytes of all tensors in a quantization (a file adds its header: vocabulary, chat template)."""
    return _bytes_by_type(shape, quantization)


class _Recipe:
    """The quantizer's choice with its running counters, for one model."""

    def __init__(self, shape: Shape, name: str) -> None:
        self.first_year = name.endswith(FIRST_YEAR)
        name = name.removesuffix(FIRST_YEAR)
        self.large_head = name in LARGE_HEADS
        self.name = name = LARGE_HEADS.get(name, name)
        self.base = BASE_TYPES[name]
        # Repackers make the IQ types with an importance matrix; some rules change with one.
        self.matrix = name.startswith("IQ")
        self.experts = shape.experts.count if shape.experts else 1
        self.tied = shape.tied_embeddings
        self.falcon = shape.architecture == "falcon"
        self.gqa = shape.heads // max(1, shape.kv_heads)
        # llama.cpp calls an 80-layer llama whose heads share values eight at a time "70B".
        self.seventy = shape.architecture == "llama" and shape.layers == 80 and shape.heads != shape.kv_heads
        self.layers = shape.layers
        self.values_seen = 0
        self.values = sum(kind not in ("recurrent", "none") for kind in shape.attention)

    def types(self, found: Iterable[Tensor]) -> Iterable[TypedTensor]:
        for tensor in found:
            yield TypedTensor(tensor, self._stored(tensor))

    def _stored(self, tensor: Tensor) -> str:
        if len([size for size in tensor.dims if size > 1]) < 2 or tensor.name.endswith((*_KEPT_F32, ".bias")):
            return "F32"
        if self.base in ("F32", "F16", "BF16"):
            return self.base
        chosen = self._chosen(tensor)
        if tensor.dims[0] % BLOCKS[chosen][0]:
            chosen = FALLBACKS.get(chosen, "IQ4_NL" if BLOCKS[chosen][0] == 256 else "F16")
            if tensor.dims[0] % BLOCKS[chosen][0]:
                chosen = "F16"
        return chosen

    def _chosen(self, tensor: Tensor) -> str:
        name = tensor.name
        if self.large_head and name in ("output.weight", "token_embd.weight"):
            return "Q8_0"
        if self.first_year and (self.experts == 8 or self.name == "Q2_K"):
            return self._first_year(tensor)
        if self.name == "MXFP4_MOE":
            return "MXFP4" if "_exps." in name else "Q8_0"
        if name == "output.weight" or (self.tied and name == "token_embd.weight"):
            return self._head(tensor)
        if name == "token_embd.weight":
            return self._embedding()
        if "attn_v.weight" in name or "attn_v_b.weight" in name:
            chosen = self._value()
            self.values_seen += 1
            return chosen
        if self.name in _ONE_OR_TWO_BITS:
            return self._few_bits(tensor)
        if "attn_k.weight" in name:
            if self.experts == 8:
                return "Q8_0"
            return {"IQ3_XS": "IQ3_XXS", "IQ3_XXS": "IQ2_S"}.get(self.name, self.base)
        if "attn_q.weight" in name:
            return {"IQ3_XS": "IQ3_XXS", "IQ3_XXS": "IQ2_S"}.get(self.name, self.base)
        if "ffn_down" in name:
            return self._down(tensor.layer or 0)
        if "attn_output.weight" in name:
            return self._output()
        if "attn_qkv.weight" in name:
            return {
                "Q3_K_M": "Q4_K", "Q3_K_L": "Q4_K", "IQ3_M": "Q4_K", "Q4_K_M": "Q5_K", "Q5_K_M": "Q6_K",
            }.get(self.name, self.base)  # fmt: skip
        if ("ffn_gate" in name or "ffn_up" in name) and self.name == "IQ3_XS":
            layer = tensor.layer or 0
            return "IQ3_XXS" if self.layers // 8 <= layer < 7 * self.layers // 8 else self.base
        return self.base

    def _head(self, tensor: Tensor) -> str:
        if self.falcon or tensor.dims[0] % 256:
            return "Q8_0"
        if self.name in (*_ONE_OR_TWO_BITS, "IQ3_XXS"):
            return "Q5_K"
        return self.base if self.base == "Q8_0" else "Q6_K"

    def _first_year(self, tensor: Tensor) -> str:
        if tensor.name == "output.weight":
            return "Q6_K"
        if self.experts == 8:
            return "Q8_0" if "attn_v." in tensor.name or "attn_k." in tensor.name else self.base
        if "attn_v" in tensor.name and self.seventy:
            return "Q5_K"
        narrow = ("attn_q.", "attn_k.", "token_embd")
        return "Q2_K" if any(part in tensor.name for part in narrow) else "Q3_K"

    def _embedding(self) -> str:
        if self.name in ("IQ2_S", "IQ2_M", "IQ3_XXS"):
            return "IQ3_S"
        return "Q2_K" if self.name in _ONE_OR_TWO_BITS else self.base

    def _value(self) -> str:
        shared = self.gqa >= 4
        name = self.name
        if name in _ONE_OR_TWO_BITS:
            if shared or self.experts >= 4:
                return "Q4_K"
            return "IQ3_S" if name in ("IQ2_S", "IQ2_M") else "Q2_K"
        chosen = self.base
        if name == "Q2_K":
            chosen = "Q4_K" if shared else "Q3_K"
        elif name == "IQ3_XXS":
            chosen = "Q4_K" if shared else ("IQ3_XXS" if self.matrix else "IQ3_S")
        elif name == "IQ3_M" or (name in ("Q2_K_S", "IQ3_XS", "IQ3_S") and shared):
            chosen = "Q4_K"
        elif name == "Q3_K_M":
            chosen = "Q5_K" if self.values_seen < 2 else "Q4_K"
        elif (
            name == "Q3_K_L"
            or (name in ("IQ4_NL", "IQ4_XS") and shared)
            or (name == "Q4_K_S" and self.values_seen < 4)
        ):
            chosen = "Q5_K"
        elif name in ("Q4_K_M", "Q5_K_M") and _more_bits(self.values_seen, self.values):
            chosen = "Q6_K"
        if self.seventy and chosen in ("Q3_K", "Q4_K"):
            chosen = "Q5_K"
        return "Q8_0" if self.experts == 8 else chosen

    def _few_bits(self, tensor: Tensor) -> str:
        name, wide = tensor.name, self.name in ("IQ2_S", "IQ2_M")
        if self.experts == 8 and "attn_k.weight" in name:
            return "Q4_K"
        if "ffn_down" in name and (tensor.layer or 0) < self.layers // 8:
            return "IQ3_S" if wide else "Q2_K"
        if "attn_output.weight" in name:
            if self.experts == 8:
                return "Q5_K"
            return "IQ3_S" if wide else ("IQ2_XXS" if self.name in ("IQ1_S", "IQ1_M") else self.base)
        return self.base

    def _down(self, layer: int) -> str:
        name, count = self.name, self.layers
        early, more = layer < count // 8, _more_bits(layer, count)
        if name == "Q2_K":
            return "Q3_K"
        if name == "Q2_K_S":
            return "Q4_K" if early else self.base
        if name == "Q3_K_M":
            if layer < count // 16:
                return "Q5_K"
            return "Q4_K" if not self.falcon or more else "Q3_K"
        if name == "IQ3_M":
            return "Q4_K" if early or (self.experts == 8 and more) else self.base
        if name == "Q3_K_L":
            return "Q4_K" if self.falcon else "Q5_K"
        if name == "Q4_K_M" and self.falcon:
            return "Q6_K" if layer < count // 16 else ("Q5_K" if more else "Q4_K")
        if name in ("Q4_K_M", "Q5_K_M") and more:
            return "Q6_K"
        if early and name == "Q4_K_S" and not self.falcon:
            return "Q5_K"
        return self.base

    def _output(self) -> str:
        if self.falcon:
            return "Q4_K" if self.name == "Q3_K_L" else self.base
        if self.experts == 8:
            return "Q5_K" if self.name in _EIGHT_EXPERT_OUTPUT else self.base
        return {
            "Q2_K": "Q3_K", "IQ3_XXS": "IQ3_S", "Q3_K_M": "Q4_K", "Q3_K_L": "Q5_K", "IQ3_M": "Q4_K",
        }.get(self.name, self.base)  # fmt: skip


def _more_bits(layer: int, count: int) -> bool:
    """The quantizer's choice of layers worth more bits: the first and last eighth, every third between."""
    return layer < count // 8 or layer >= 7 * count // 8 or (layer - count // 8) % 3 == 2
