"""How many bytes a model takes while it is served, by part.

Sources: KV cache cells follow llama.cpp's src/llama-kv-cache.cpp and llama-kv-cache-iswa.cpp, recurrent state
src/llama-memory-recurrent.cpp; compute buffers are a model of the largest tensors its graph holds at once,
checked against the engine's own load report (docs/reference/memory-fit.md).
"""

from __future__ import annotations

from typing import NamedTuple

from freehold.errors import UsageError
from freehold.hardware.quantization import BLOCKS
from freehold.types.machine import FitPart, Workload
from freehold.types.model import Shape

KV_TYPES: tuple[str, ...] = ("f32", "f16", "bf16", "q8_0", "q5_1", "q5_0", "q4_1", "q4_0", "iq4_nl")
CELL_PADDING = 256
"""llama.cpp rounds the cells of one sequence up to this."""
MICRO_BATCH = 512
"""Tokens llama.cpp pushes through the graph at once (``n_ubatch``), its default."""
PROCESS_BYTES = 90 << 20
"""The server's own memory beside model, context and compute buffers, measured for the embedded llama.cpp
in a Python process: interpreter, libraries, thread stacks, tokenizer tables."""


class KvCache(NamedTuple):
    """Bytes that remember tokens. `tokens_bytes` is what attention reads: windows count with their window.
    `margin_bytes` are the cells the engine adds: padding, and room for the batch in flight on each window."""

    tokens_bytes: int
    margin_bytes: int
    state_bytes: int

    @property
    def bytes(self) -> int:
        return self.tokens_bytes + self.margin_bytes + self.state_bytes


def kv_cache(shape: Shape, workload: Workload, *, k_type: str = "f16", v_type: str = "f16") -> KvCache:
    """KV cache of `workload.concurrency` sequences of `workload.context_tokens` each.

    Sliding-window and chunked layers keep the window only, latent layers (MLA) one compressed vector per
    token, recurrent layers a state of fixed size in f32. Raises `UsageError` for an unknown cache type.
    """
    for name in (k_type, v_type):
        if name not in KV_TYPES:
            raise UsageError(f"KV cache type {name} is not known", hint=f"known: {', '.join(KV_TYPES)}")
    asked = workload.context_tokens
    cells = _padded(asked)
    wanted = margin = state = 0
    for layer, kind in enumerate(shape.attention):
        if kind == "none":
            continue
        if kind == "recurrent":
            kept = shape.recurrent
            assert kept is not None
            state += 4 * ((kept.conv_kernel - 1) * kept.conv_channels + kept.state_values)
            continue
        per_cell = _cell_bytes(shape, layer, k_type, v_type)
        need, held = asked, cells
        if kind in ("sliding", "chunked") and shape.sliding_window:
            need = min(asked, shape.sliding_window)
            held = min(cells, _padded(shape.sliding_window + MICRO_BATCH))
        wanted += need * per_cell
        margin += (held - need) * per_cell
    many = workload.concurrency
    return KvCache(wanted * many, margin * many, state * many)


def _cell_bytes(shape: Shape, layer: int, k_type: str, v_type: str) -> int:
    if shape.attention[layer] == "latent":
        assert shape.latent is not None
        return _type_bytes(k_type, shape.latent.kv_rank + shape.latent.rope_dim)
    heads = shape.kv_heads_at(layer)
    return _type_bytes(k_type, heads * shape.head_dim) + _type_bytes(v_type, heads * shape.value_dim)


def _type_bytes(name: str, values: int) -> int:
    size, width = BLOCKS[name.upper()]
    if values % size:
        raise UsageError(
            f"KV cache type {name} stores {size} values at a time, this model has {values} per token",
            hint="use f16",
        )
    return values // size * width


def _padded(tokens: int) -> int:
    return -(-tokens // CELL_PADDING) * CELL_PADDING


def compute_bytes(shape: Shape, workload: Workload) -> int:
    """Scratch memory of the compute graph for one micro-batch.

    Masks (f32 and a f16 copy, one row per token of the batch over all cells of all sequences) plus the widest
    activations alive at once, plus logits of one token per sequence.
    """
    batch = min(MICRO_BATCH, _padded(workload.context_tokens))
    cells = _padded(workload.context_tokens)
    masks = 6 * batch * cells
    if any(kind in ("sliding", "chunked") for kind in shape.attention) and shape.sliding_window:
        masks += 6 * batch * min(cells, _padded(shape.sliding_window + MICRO_BATCH))
    wide = max(2 * shape.ffn, shape.heads * shape.head_dim + 2 * shape.kv_heads * shape.head_dim)
    activations = 4 * batch * (2 * shape.hidden + wide)
    return masks + activations + 4 * shape.vocabulary * workload.concurrency


def serving_parts(
    shape: Shape, weights_bytes: int, weights_basis: str, workload: Workload, *, kv_type: str = "f16"
) -> tuple[FitPart, ...]:
    """The parts of one served model, each with the reason for its size. Bytes; sums to the whole."""
    cache = kv_cache(shape, workload, k_type=kv_type, v_type=kv_type)
    shown = f"{workload.context_tokens:,} tokens × {workload.concurrency} at once, {kv_type}"
    parts = [FitPart(name="weights", bytes=weights_bytes, basis=weights_basis)]
    if cache.tokens_bytes:
        parts.append(FitPart(name="kv_cache", bytes=cache.tokens_bytes, basis=f"{shown}; {_layers(shape)}"))
    if cache.state_bytes:
        parts.append(
            FitPart(name="recurrent_state", bytes=cache.state_bytes, basis="fixed size per sequence, f32")
        )
    if cache.margin_bytes:
        parts.append(
            FitPart(
                name="kv_margin",
                bytes=cache.margin_bytes,
                basis=f"cells the engine adds: room for a batch of {MICRO_BATCH} on each window, "
                f"padding to {CELL_PADDING}",
            )
        )
    parts.append(
        FitPart(name="compute", bytes=compute_bytes(shape, workload), basis=f"micro-batch of {MICRO_BATCH}")
    )
    parts.append(FitPart(name="engine", bytes=PROCESS_BYTES, basis="the server process itself, measured"))
    return tuple(parts)


def _layers(shape: Shape) -> str:
    counts: dict[str, int] = {}
    for kind in shape.attention:
        counts[kind] = counts.get(kind, 0) + 1
    words = {
        "full": "full",
        "sliding": f"with a window of {shape.sliding_window:,}" if shape.sliding_window else "full",
        "chunked": f"in chunks of {shape.sliding_window:,}" if shape.sliding_window else "full",
        "latent": "latent (MLA)",
        "recurrent": "recurrent",
        "none": "without attention",
    }
    return "layers: " + ", ".join(f"{count} {words[kind]}" for kind, count in counts.items())
