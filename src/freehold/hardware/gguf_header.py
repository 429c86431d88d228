"""Reads the header of a GGUF file: metadata and tensor list, never the tensors; and the shape that they say."""

from __future__ import annotations

import math
import mmap
import re
import struct
from pathlib import Path, PurePath
from typing import Any, NamedTuple, TypeVar

from freehold.errors import InputError
from freehold.hardware.quantization import BLOCKS
from freehold.types.model import MAX_LAYERS, AttentionKind, ExpertShape, LatentShape, RecurrentShape, Shape

AnyPath = TypeVar("AnyPath", bound=PurePath)

MAGIC = b"GGUF"
MAX_DEPTH = 4
MAX_DIMS = 8
KEPT_ARRAY_VALUES = 4096
MAX_ARRAYS = 100_000
"""Longer arrays (vocabularies) are walked over, not kept; only their length is."""

TENSOR_TYPES: dict[int, str] = {
    0: "F32", 1: "F16", 2: "Q4_0", 3: "Q4_1", 6: "Q5_0", 7: "Q5_1", 8: "Q8_0", 9: "Q8_1", 10: "Q2_K",
    11: "Q3_K", 12: "Q4_K", 13: "Q5_K", 14: "Q6_K", 15: "Q8_K", 16: "IQ2_XXS", 17: "IQ2_XS", 18: "IQ3_XXS",
    19: "IQ1_S", 20: "IQ4_NL", 21: "IQ3_S", 22: "IQ2_S", 23: "IQ4_XS", 24: "I8", 25: "I16", 26: "I32",
    27: "I64", 28: "F64", 29: "IQ1_M", 30: "BF16", 34: "TQ1_0", 35: "TQ2_0", 39: "MXFP4",
}  # fmt: skip

FILE_TYPES: dict[int, str] = {
    0: "F32", 1: "F16", 2: "Q4_0", 3: "Q4_1", 7: "Q8_0", 8: "Q5_0", 9: "Q5_1", 10: "Q2_K", 11: "Q3_K_S",
    12: "Q3_K_M", 13: "Q3_K_L", 14: "Q4_K_S", 15: "Q4_K_M", 16: "Q5_K_S", 17: "Q5_K_M", 18: "Q6_K",
    19: "IQ2_XXS", 20: "IQ2_XS", 21: "Q2_K_S", 22: "IQ3_XS", 23: "IQ3_XXS", 24: "IQ1_S", 25: "IQ4_NL",
    26: "IQ3_S", 27: "IQ3_M", 28: "IQ2_S", 29: "IQ2_M", 30: "IQ4_XS", 31: "IQ1_M", 32: "BF16", 36: "TQ1_0",
    37: "TQ2_0", 38: "MXFP4_MOE",
}  # fmt: skip
"""``general.file_type`` → quantization."""

_SCALARS: dict[int, str] = {
    0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<?", 10: "<Q", 11: "<q", 12: "<d",
}  # fmt: skip
_STRING, _ARRAY = 8, 9


class LongArray(NamedTuple):
    """An array that was walked over."""

    length: int


class HeaderTensor(NamedTuple):
    """One row of the tensor list."""

    name: str
    dims: tuple[int, ...]
    type: str
    offset: int

    @property
    def bytes(self) -> int:
        size, width = BLOCKS[self.type]
        return math.prod(self.dims) // size * width


class Header(NamedTuple):
    """What the front of a GGUF file says. `file_bytes` counts all parts of a split file."""

    path: str
    metadata: dict[str, Any]
    tensors: tuple[HeaderTensor, ...]
    file_bytes: int

    @property
    def architecture(self) -> str:
        return str(self.metadata.get("general.architecture", ""))

    @property
    def quantization(self) -> str:
        """The recipe's name by ``general.file_type``, else the commonest tensor type by bytes."""
        name = FILE_TYPES.get(self.metadata.get("general.file_type", -1))
        if name:
            return name
        totals: dict[str, int] = {}
        for tensor in self.tensors:
            totals[tensor.type] = totals.get(tensor.type, 0) + tensor.bytes
        return max(totals, key=lambda key: totals[key], default="unknown")

    @property
    def tensor_bytes(self) -> int:
        return sum(tensor.bytes for tensor in self.tensors)


def read_header(path: Path) -> Header:
    """Read the header of a GGUF file; of a split file (``…-00001-of-00003.gguf``) the headers of all parts.

    Raises `InputError` with the path for anything that is not a sound GGUF header.
    """
    parts = parts_of(path)
    for part in parts:
        if not part.exists() and len(parts) > 1:
            raise InputError("a part of this split GGUF file is missing", path=str(part))
    headers = [_read_one(part) for part in parts]
    split = headers[0].metadata.get("split.count")
    if isinstance(split, int) and split > 1 and split != len(parts):
        raise InputError(
            f"one of {split:,} parts of a split GGUF file, by a name that does not say so",
            path=str(path),
            hint="its parts are named …-00001-of-00003.gguf and lie in one folder",
        )
    return Header(
        path=str(path),
        metadata=headers[0].metadata,
        tensors=tuple(tensor for header in headers for tensor in header.tensors),
        file_bytes=sum(header.file_bytes for header in headers),
    )


def parts_of(path: AnyPath) -> list[AnyPath]:
    """The files of a GGUF: all parts of a split one, whether they are there or not; else the file itself."""
    match = re.search(r"-(\d{5})-of-(\d{5})\.gguf$", path.name)
    if not match:
        return [path]
    count = int(match.group(2))
    stem = path.name[: match.start()]
    return [path.with_name(f"{stem}-{number:05d}-of-{count:05d}.gguf") for number in range(1, count + 1)]


def _read_one(path: Path) -> Header:
    try:
        with path.open("rb") as file:
            size = path.stat().st_size
            if size < 24:
                raise InputError(f"{size} bytes are too few for a GGUF file", path=str(path))
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                return _Reader(data, size, str(path)).header()
    except FileNotFoundError:
        raise InputError("no such file", path=str(path)) from None
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", path=str(path)) from None


class _Reader:
    """A cursor over the file that refuses to run past its end."""

    def __init__(self, data: mmap.mmap, size: int, path: str) -> None:
        self.data = data
        self.size = size
        self.path = path
        self.at = 0
        self.arrays = 0

    def header(self) -> Header:
        if self._take(4) != MAGIC:
            raise self._bad("does not begin with 'GGUF'")
        version = self._scalar("<I")
        if version not in (2, 3):
            swapped = version in (2 << 24, 3 << 24)
            raise self._bad("is a big-endian GGUF file" if swapped else f"has GGUF version {version}")
        tensor_count, pair_count = self._scalar("<Q"), self._scalar("<Q")
        # The shortest pair takes 13 bytes, the shortest tensor row 24.
        if pair_count * 13 + tensor_count * 24 > self.size:
            raise self._bad(f"claims {pair_count} metadata pairs and {tensor_count} tensors")
        metadata: dict[str, Any] = {}
        for _ in range(pair_count):
            key = self._string()
            metadata[key] = self._value(self._scalar("<I"), 0)
        tensors = tuple(self._tensor() for _ in range(tensor_count))
        names = {tensor.name for tensor in tensors}
        if len(names) < len(tensors):
            raise self._bad(f"names {len(tensors):,} tensors with {len(names):,} names")
        self._check_places(tensors, metadata)
        return Header(self.path, metadata, tensors, self.size)

    def _tensor(self) -> HeaderTensor:
        name = self._string()
        count = self._scalar("<I")
        if count > MAX_DIMS:
            raise self._bad(f"gives tensor {name!r} {count} dimensions")
        dims = tuple(self._scalar("<Q") for _ in range(count))
        type_id, offset = self._scalar("<I"), self._scalar("<Q")
        if type_id not in TENSOR_TYPES:
            raise self._bad(f"stores tensor {name!r} in type {type_id}, which is not known here")
        type_name = TENSOR_TYPES[type_id]
        if any(not 0 < size < 1 << 40 for size in dims):
            raise self._bad(f"gives tensor {name!r} the dimensions {dims}")
        if dims and dims[0] % BLOCKS[type_name][0]:
            raise self._bad(f"gives tensor {name!r} rows of {dims[0]}, no multiple of {type_name}'s block")
        return HeaderTensor(name, dims, type_name, offset)

    def _check_places(self, tensors: tuple[HeaderTensor, ...], metadata: dict[str, Any]) -> None:
        alignment = metadata.get("general.alignment", 32)
        if not isinstance(alignment, int) or not 0 < alignment <= 1 << 20:
            raise self._bad(f"has alignment {alignment}")
        start = -(-self.at // alignment) * alignment
        for tensor in tensors:
            end = start + tensor.offset + tensor.bytes
            if end > self.size:
                raise self._bad(
                    f"is cut short: tensor {tensor.name!r} ends at byte {end:,} of {self.size:,}",
                    hint="fetch it again; freehold models pull checks the hash",
                )

    def _value(self, kind: int, depth: int) -> Any:
        if kind in _SCALARS:
            return self._scalar(_SCALARS[kind])
        if kind == _STRING:
            return self._string()
        if kind != _ARRAY:
            raise self._bad(f"has a metadata value of type {kind}")
        if depth >= MAX_DEPTH:
            raise self._bad("nests arrays too deeply")
        self.arrays += 1
        if self.arrays > MAX_ARRAYS:
            raise self._bad(f"has more than {MAX_ARRAYS:,} arrays in its metadata")
        inner, length = self._scalar("<I"), self._scalar("<Q")
        if inner in _SCALARS:
            width = struct.calcsize(_SCALARS[inner])
            if length <= KEPT_ARRAY_VALUES:
                packed = self._take(length * width)
                return list(struct.unpack(f"<{length}{_SCALARS[inner][1]}", packed))
            self._skip(length * width)
            return LongArray(length)
        if length * 8 > self.size - self.at:
            raise self._bad(f"claims an array of {length:,} values with {self.size - self.at:,} bytes left")
        if inner == _STRING and length > KEPT_ARRAY_VALUES:
            self._skip_strings(length)
            return LongArray(length)
        return [self._value(inner, depth + 1) for _ in range(length)]

    def _skip_strings(self, count: int) -> None:
        data, at, size = self.data, self.at, self.size
        unpack = struct.Struct("<Q").unpack_from
        for _ in range(count):
            if at + 8 > size:
                raise self._bad("ends inside a list of strings")
            at += 8 + unpack(data, at)[0]
        if at > size:
            raise self._bad("ends inside a list of strings")
        self.at = at

    def _string(self) -> str:
        return self._take(self._scalar("<Q")).decode("utf-8", "replace")

    def _scalar(self, form: str) -> Any:
        return struct.unpack(form, self._take(struct.calcsize(form)))[0]

    def _skip(self, count: int) -> None:
        if count > self.size - self.at:
            raise self._bad(f"ends at byte {self.size:,}, inside its header")
        self.at += count

    def _take(self, count: int) -> bytes:
        begin = self.at
        self._skip(count)
        return self.data[begin : self.at]

    def _bad(self, what: str, *, hint: str | None = None) -> InputError:
        return InputError(f"not a sound GGUF file: it {what}", path=self.path, hint=hint)


SLIDING_CYCLES: dict[str, int] = {
    "gemma2": 2,
    "gemma3": 6,
    "gemma3n": 5,
    "cohere2": 4,
    "gpt-oss": 2,
    "olmo2": 4,
    "exaone4": 4,
}
"""Architecture → every how many layers one attends to everything, where llama.cpp fixes it in code."""

CHUNKED: dict[str, int] = {"llama4": 4}


KNOWN_ARCHITECTURES = frozenset(
    {
        "chatglm", "cohere2", "command-r", "deepseek2", "ernie4_5", "ernie4_5-moe", "gemma2", "gemma3", "gemma4",
        "glm-dsa", "gpt-oss", "granite", "jamba", "lfm2", "llama", "llama4", "olmo2", "phi3", "qwen2", "qwen3",
        "qwen35", "qwen35moe", "qwen3moe",
    }
)  # fmt: skip
"""Whose layers are known: what each keeps, and which tensors it has."""


def bounds_of(header: Header) -> tuple[str, ...]:
    """What to say of a file of an unknown architecture."""
    if header.architecture in KNOWN_ARCHITECTURES | SLIDING_CYCLES.keys() | CHUNKED.keys():
        return ()
    return (
        f"architecture {header.architecture} is not known here: weights are as the file lists them, the cache is an "
        "upper bound (what is not marked as windowed or recurrent counts as full attention)",
    )


def shape_from_gguf(header: Header) -> Shape:
    """The shape a GGUF header describes. Raises `InputError` when a key it needs is missing or impossible.

    Parameter counts and bytes are better taken from the header's own tensor list; the shape is for what the
    file does not list: KV cache and compute buffers.
    """
    read = _Keys(header)
    arch = header.architecture
    if not arch:
        raise InputError("GGUF header has no general.architecture", path=header.path)
    layers = read.whole("block_count")
    nextn = read.optional("nextn_predict_layers") or 0
    layers -= nextn
    if not 1 <= layers <= MAX_LAYERS:
        raise InputError(
            f"GGUF metadata {arch}.block_count leaves {layers:,} layers, expected 1 to {MAX_LAYERS:,}",
            path=header.path,
        )
    hidden = read.whole("embedding_length")
    heads = read.per_layer("attention.head_count", layers)
    kv_heads = read.per_layer("attention.head_count_kv", layers, default=heads)
    most_heads = max(heads)
    key_dim = read.optional("attention.key_length") or (hidden // most_heads if most_heads else 0)
    value_dim = read.optional("attention.value_length") or key_dim
    names = {tensor.name for tensor in header.tensors}
    return Shape(
        architecture=arch,
        layers=layers,
        hidden=hidden,
        heads=most_heads,
        kv_heads=max(kv_heads),
        kv_heads_by_layer=() if len(set(kv_heads)) == 1 else kv_heads,
        head_dim=key_dim,
        value_head_dim=None if value_dim == key_dim else value_dim,
        ffn=max(read.per_layer("feed_forward_length", layers, default=(0,) * layers)),
        vocabulary=_vocabulary(header, read),
        context_tokens=read.whole("context_length"),
        tied_embeddings="output.weight" not in names,
        attention=_attention(header, read, layers, kv_heads),
        sliding_window=read.optional("attention.sliding_window")
        or read.optional("attention.chunk_size")
        or (8192 if arch in CHUNKED else None),
        experts=_experts(read, header),
        latent=_latent(read),
        recurrent=_recurrent(arch, read, hidden),
    )


def _attention(
    header: Header, read: _Keys, layers: int, kv_heads: tuple[int, ...]
) -> tuple[AttentionKind, ...]:
    arch = header.architecture
    names = {tensor.name for tensor in header.tensors}
    pattern = header.metadata.get(f"{arch}.attention.sliding_window_pattern")
    window = read.optional("attention.sliding_window")
    kinds: list[AttentionKind] = []
    for layer in range(layers):
        block = f"blk.{layer}."
        recurrent = any(block + name in names for name in ("ssm_out.weight", "shortconv.out_proj.weight"))
        if recurrent and (block + "attn_k.weight") not in names:
            kinds.append("recurrent")
        elif read.optional("attention.kv_lora_rank") and (block + "attn_kv_a_mqa.weight") in names:
            kinds.append("latent")
        elif kv_heads[layer] == 0:
            kinds.append("none")
        elif arch in CHUNKED:
            kinds.append("full" if (layer + 1) % CHUNKED[arch] == 0 else "chunked")
        elif isinstance(pattern, list) and layer < len(pattern) and window:
            kinds.append("sliding" if pattern[layer] else "full")
        elif arch in SLIDING_CYCLES and window:
            cycle = pattern if isinstance(pattern, int) and pattern > 1 else SLIDING_CYCLES[arch]
            kinds.append("full" if (layer + 1) % cycle == 0 else "sliding")
        else:
            kinds.append("full")
    return tuple(kinds)


def _vocabulary(header: Header, read: _Keys) -> int:
    tokens = header.metadata.get("tokenizer.ggml.tokens")
    if isinstance(tokens, LongArray):
        return tokens.length
    if isinstance(tokens, list):
        return len(tokens)
    for tensor in header.tensors:
        if tensor.name == "token_embd.weight" and len(tensor.dims) == 2:
            return tensor.dims[1]
    return read.whole("vocab_size")


def _experts(read: _Keys, header: Header) -> ExpertShape | None:
    count = read.optional("expert_count")
    if not count:
        return None
    ffn = read.optional("expert_feed_forward_length") or read.optional("feed_forward_length") or 0
    places: list[int] = []
    for tensor in header.tensors:
        part = tensor.name.split(".")
        if part[0] == "blk" and part[2:] == ["ffn_down_exps", "weight"] and part[1].isdigit():
            places.append(int(part[1]))
            ffn = tensor.dims[0]
    places = sorted(set(places))
    first = places[0] if places else 0
    every = places[1] - first if len(places) > 1 else 1
    return ExpertShape(
        count=count,
        per_token=read.whole("expert_used_count"),
        ffn=ffn,
        shared=read.optional("expert_shared_count") or 0,
        shared_ffn=read.optional("expert_shared_feed_forward_length"),
        dense_layers=first if first >= every else 0,
        every=every,
        offset=first % every,
    )


def _latent(read: _Keys) -> LatentShape | None:
    rank = read.optional("attention.kv_lora_rank")
    if not rank:
        return None
    rope = read.whole("rope.dimension_count")
    key = read.optional("attention.key_length_mla") or read.whole("attention.key_length")
    return LatentShape(
        kv_rank=rank,
        rope_dim=rope,
        nope_dim=key - rope,
        value_dim=read.optional("attention.value_length_mla") or read.whole("attention.value_length"),
        q_rank=read.optional("attention.q_lora_rank"),
    )


def _recurrent(arch: str, read: _Keys, hidden: int) -> RecurrentShape | None:
    cache = read.optional("shortconv.l_cache")
    if cache:
        return RecurrentShape(kind="conv", conv_kernel=cache, conv_channels=hidden, state_values=0)
    kernel = read.optional("ssm.conv_kernel")
    if not kernel:
        return None
    inner, state = read.whole("ssm.inner_size"), read.whole("ssm.state_size")
    groups = read.optional("ssm.group_count") or 0
    # llama.cpp: n_embd_r = (d_conv - 1) * (d_inner + 2 * n_group * d_state), n_embd_s = d_state * d_inner
    return RecurrentShape(
        kind="delta" if arch.startswith("qwen3") else ("mamba2" if groups else "mamba1"),
        conv_kernel=kernel,
        conv_channels=inner + 2 * groups * state,
        state_values=state * inner,
        inner=inner,
        state=state,
        dt_rank=read.optional("ssm.time_step_rank") or 0,
        groups=groups,
    )


class _Keys:
    """Metadata under the architecture's prefix, with checks."""

    def __init__(self, header: Header) -> None:
        self.header = header

    def optional(self, key: str) -> int | None:
        value = self.header.metadata.get(f"{self.header.architecture}.{key}")
        if isinstance(value, list):
            whole = [entry for entry in value if isinstance(entry, int)]
            value = max(whole, default=None)
        if value is None or isinstance(value, bool) or not isinstance(value, int):
            return None
        if not 0 <= value < 1 << 40:
            raise self._bad(key, value)
        return value

    def whole(self, key: str) -> int:
        value = self.optional(key)
        if value is None or value < 1:
            raise self._bad(key, self.header.metadata.get(f"{self.header.architecture}.{key}"))
        return value

    def per_layer(self, key: str, layers: int, default: tuple[int, ...] | None = None) -> tuple[int, ...]:
        value: Any = self.header.metadata.get(f"{self.header.architecture}.{key}")
        if isinstance(value, list):
            if len(value) < layers or any(not isinstance(entry, int) or entry < 0 for entry in value):
                raise self._bad(key, f"a list of {len(value)}")
            return tuple(value[:layers])
        if value is None and default is not None:
            return default
        return (self.whole(key),) * layers

    def _bad(self, key: str, value: object) -> InputError:
        shown = "missing" if value is None else repr(value)[:40]
        return InputError(f"GGUF metadata {self.header.architecture}.{key} is {shown}", path=self.header.path)
