"""Shapes read from what lies on disk: a GGUF header."""

from __future__ import annotations

from typing import Any

from freehold.errors import InputError
from freehold.hardware.gguf_header import Header, LongArray
from freehold.types.model import MAX_LAYERS, AttentionKind, ExpertShape, LatentShape, RecurrentShape, Shape

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
