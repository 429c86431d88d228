"""How many bytes a model takes while it is served, by part.

Sources: KV cache cells follow llama.cpp's src/llama-kv-cache.cpp and llama-kv-cache-iswa.cpp, recurrent state
src/llama-memory-recurrent.cpp; compute buffers are a model of the largest tensors its graph holds at once,
checked against the engine's own load report (docs/reference/memory-fit.md).
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from freehold.errors import UsageError
from freehold.hardware.quantization import BLOCKS
from freehold.types.machine import FitPart, Workload
from freehold.types.model import Shape

KV_TYPES: tuple[str, ...] = ("f32", "f16", "bf16", "q8_0", "q5_1", "q5_0", "q4_1", "q4_0", "iq4_nl")
CELL_PADDING = 256
"""llama.cpp rounds the cells of one sequence up to this."""
MICRO_BATCH = 512
"""Tokens llama.cpp pushes through the graph at once (``n_ubatch``), its default."""
PROCESS_BYTES = 40 << 20
"""The server's process besides model, cache and compute buffers: interpreter, libraries, thread stacks."""
PROCESS_BYTES_PER_TOKEN = 250
"""The process's tables of one vocabulary entry; with `PROCESS_BYTES` fitted to resident memory beyond the load
report (docs/reference/memory-fit.md)."""
PROMPT_CACHE_BYTES = 512 << 20
"""Prompts of other slots that llama.cpp may keep in the machine's memory: the engine's default here."""
DEVICE_BYTES = 500 << 20
"""What a driver and its compute libraries take on each accelerator. An assumption, not measured here."""


Engine = Literal["llamacpp", "vllm"]


class ServingLoad(NamedTuple):
    """What is held in memory while a model is served, apart from what grows with the workload.

    `repacked_bytes` are copies of tensors in the CPU's order, `copied_bytes` weights that several accelerators hold
    whole; `weights_basis` says how the weights' size is known.
    """

    quantization: str
    weights_bytes: int
    weights_basis: str
    kv_type: str = "f16"
    repacked_bytes: int = 0
    adapters_bytes: int = 0
    prompt_cache_bytes: int = PROMPT_CACHE_BYTES
    engine: Engine = "llamacpp"
    dense: str | None = None
    """What layers besides the routed experts are stored in, where it differs from `quantization`."""
    copied_bytes: int = 0


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
            raise UsageError(
                f"KV cache type {name} is not known",
                hint=f"known: {', '.join(KV_TYPES)}; fp8 is of vLLM: --engine vllm",
            )
    asked = workload.context_tokens
    cells = _padded(asked)
    wanted = margin = state = 0
    for layer, kind in enumerate(shape.attention):
        if kind == "none" or shape.borrows_cache(layer):
            continue
        if kind == "recurrent":
            kept = shape.recurrent
            assert kept is not None
            state += 4 * ((kept.conv_kernel - 1) * kept.conv_channels + kept.state_values)
            continue
        if kind == "compressed":
            wanted += _compressed_bytes(shape, layer, asked, k_type)
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


def _compressed_bytes(shape: Shape, layer: int, tokens: int, k_type: str) -> int:
    """A layer of compressed attention: the window, an entry for every few older tokens, and its index."""
    assert shape.compressed is not None
    vectors, indexed = shape.compressed.entries(layer, tokens, shape.sliding_window or tokens)
    index = _type_bytes(k_type, shape.compressed.index_dim) if indexed else 0
    return vectors * _type_bytes(k_type, shape.head_dim) + indexed * index


def _cell_bytes(shape: Shape, layer: int, k_type: str, v_type: str) -> int:
    if shape.attention[layer] == "latent":
        assert shape.latent is not None
        return _type_bytes(k_type, shape.latent.kv_rank + shape.latent.rope_dim)
    heads = shape.kv_heads_at(layer)
    keys, values = heads * shape.head_dim_at(layer), heads * shape.value_dim_at(layer)
    return _type_bytes(k_type, keys) + _type_bytes(v_type, values)


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
    """Scratch memory of the compute graph for one micro-batch, and the output buffer, with flash attention.

    Masks take 2 bytes (f16) per token of the batch and cell of one sequence. Activations are f32; the graph's
    peak lies in the widest step: five hidden-wide tensors stay alive next to the three of a feed-forward
    layer, or next to queries and keys. The widths were fitted to the engine's reports over shapes that vary
    one size at a time; docs/reference/memory-fit.md has what remains.
    """
    cells = _padded(workload.context_tokens)
    batch = min(MICRO_BATCH, cells * workload.concurrency)
    kinds = set(shape.attention)
    masks = 0
    if kinds & {"full", "latent", "compressed"}:
        masks += 2 * batch * cells
    if kinds & {"sliding", "chunked"}:
        masks += 2 * batch * min(cells, _padded((shape.sliding_window or cells) + MICRO_BATCH))
    logits = 4 * shape.vocabulary * workload.concurrency
    return max(masks + 4 * batch * _widest_step(shape), logits) + logits


def _widest_step(shape: Shape) -> int:
    """Numbers alive per token at the graph's peak."""
    hidden = shape.hidden
    steps = [5 * hidden]
    experts = shape.experts
    if experts is None or not all(experts.at(layer) for layer in range(shape.layers)):
        steps.append(5 * hidden + 3 * shape.ffn)
    if experts is not None:
        used = experts.per_token * experts.ffn
        steps.append(5 * hidden + 3 * used)
        steps.append(4 * hidden + used + experts.per_token * hidden)
    if shape.latent is not None:
        kept = shape.latent
        queries = shape.heads * (kept.nope_dim + 2 * (kept.kv_rank + kept.rope_dim))
        steps.append(5 * hidden + queries)
    elif shape.head_dim:
        queries = shape.heads * max(shape.head_dim, shape.full_head_dim or 0)
        keys = shape.kv_heads * shape.head_dim
        wide = queries > hidden
        extra = (0 if keys < queries else keys) * (2 if wide else 1)
        steps.append((5 if wide else 4) * hidden + 2 * queries + extra)
    if shape.recurrent is not None:
        steps.append(8 * hidden if shape.recurrent.kind == "conv" else 5 * hidden + 5 * shape.recurrent.inner)
    return max(steps)


def serving_parts(
    shape: Shape, load: ServingLoad, workload: Workload, *, devices: int = 0
) -> tuple[FitPart, ...]:
    """The parts of one served model, each with the reason for its size. Bytes; sums to the whole."""
    cache = kv_cache(shape, workload, k_type=load.kv_type, v_type=load.kv_type)
    shown = f"{workload.context_tokens:,} tokens × {workload.concurrency} at once, {load.kv_type}"
    parts = [FitPart(name="weights", bytes=load.weights_bytes, basis=load.weights_basis)]
    if load.repacked_bytes:
        parts.append(
            FitPart(
                name="repacked",
                bytes=load.repacked_bytes,
                basis="copy of four-bit tensors in the CPU's order; the file's own pages can be dropped",
            )
        )
    if load.adapters_bytes:
        parts.append(
            FitPart(name="adapters", bytes=load.adapters_bytes, basis="adapters held next to the base")
        )
    if cache.tokens_bytes:
        parts.append(
            FitPart(name="kv_cache", bytes=cache.tokens_bytes, basis=f"{shown}; {layers_in_words(shape)}")
        )
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
    if devices:
        basis = f"driver and libraries on {devices} × accelerator, assumed {DEVICE_BYTES >> 20} MiB each"
        parts.append(FitPart(name="engine", bytes=DEVICE_BYTES * devices, basis=basis))
    else:
        process = PROCESS_BYTES + PROCESS_BYTES_PER_TOKEN * shape.vocabulary
        basis = "the server process: interpreter, libraries, vocabulary; measured"
        parts.append(FitPart(name="engine", bytes=process, basis=basis))
        # One prompt more than the slots hold is all that can be kept of a small model's context.
        if load.prompt_cache_bytes:
            basis = (
                "prompts kept for later, at most: it fills as traffic comes (engine option prompt_cache_mib)"
            )
            parts.append(FitPart(name="prompt_cache", bytes=load.prompt_cache_bytes, basis=basis))
    return tuple(parts)


def layers_in_words(shape: Shape) -> str:
    """How many layers of which kind of attention."""
    counts: dict[str, int] = {}
    for kind in shape.attention:
        counts[kind] = counts.get(kind, 0) + 1
    words = {
        "full": "full",
        "sliding": f"with a window of {shape.sliding_window:,}" if shape.sliding_window else "full",
        "chunked": f"in chunks of {shape.sliding_window:,}" if shape.sliding_window else "full",
        "latent": "latent (MLA)",
        "compressed": f"compressed, with a window of {shape.sliding_window or 0:,}",
        "recurrent": "recurrent",
        "none": "without attention",
    }
    return "layers: " + ", ".join(f"{count} {words[kind]}" for kind, count in counts.items())
