"""Tiny models with random weights, written as GGUF files that llama.cpp loads.

The tensors are those `freehold.hardware.tensors` derives from a shape, so a model that loads proves the list
right: llama.cpp refuses a file with a tensor missing, misnamed or of another size.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import gguf
import numpy as np

from freehold.catalog.models import expand_pattern
from freehold.hardware.quantization import quantize, row_bytes
from freehold.types.model import ExpertShape, LatentShape, RecurrentShape, Shape

VOCABULARY = 4096


def shape(architecture: str, pattern: list[str], layers: int = 6, **changes: Any) -> Shape:
    """A small shape: 6 layers, 512 wide, grouped queries."""
    base: dict[str, Any] = {
        "architecture": architecture,
        "layers": layers,
        "hidden": 512,
        "heads": 8,
        "kv_heads": 2,
        "head_dim": 64,
        "ffn": 1536,
        "vocabulary": VOCABULARY,
        "context_tokens": 32768,
        "tied_embeddings": True,
        "attention": expand_pattern(pattern, layers),
    }
    return Shape(**(base | changes))


SHAPES: dict[str, Shape] = {
    "llama": shape("llama", ["full"], tied_embeddings=False),
    "mistral": shape("llama", ["full"], kv_heads=4, ffn=2048, tied_embeddings=False),
    "mixtral": shape(
        "llama",
        ["full"],
        tied_embeddings=False,
        experts=ExpertShape(count=8, per_token=2, ffn=1024),
    ),
    "gemma2": shape("gemma2", ["sliding", "full"], head_dim=128, norms_per_layer=4, sliding_window=1024),
    "gemma3": shape(
        "gemma3", ["5*sliding", "full"], head_dim=128, norms_per_layer=4, qk_norm="head", sliding_window=512
    ),
    "qwen2": shape("qwen2", ["full"], qkv_bias=True),
    "qwen3": shape("qwen3", ["full"], qk_norm="head", head_dim=128),
    "qwen3moe": shape(
        "qwen3moe",
        ["full"],
        qk_norm="head",
        tied_embeddings=False,
        experts=ExpertShape(count=16, per_token=4, ffn=256),
    ),
    "phi3": shape("phi3", ["full"], fused_qkv=True, tied_embeddings=False),
    "olmo2": shape("olmo2", ["full"], qk_norm="full", tied_embeddings=False),
    "deepseek-v3": shape(
        "deepseek2",
        ["latent"],
        kv_heads=8,
        head_dim=192,
        tied_embeddings=False,
        latent=LatentShape(kv_rank=256, rope_dim=64, nope_dim=128, value_dim=128, q_rank=384),
        experts=ExpertShape(count=16, per_token=4, ffn=256, shared=1, dense_layers=1, score_bias=True),
    ),
    "command-r": shape("command-r", ["full"], norms_per_layer=1),
    "command-r7b": shape("cohere2", ["3*sliding", "full"], layers=8, norms_per_layer=1, sliding_window=1024),
    "gpt-oss": shape(
        "gpt-oss",
        ["sliding", "full"],
        sliding_window=128,
        qkv_bias=True,
        output_bias=True,
        attention_sinks=True,
        tied_embeddings=False,
        experts=ExpertShape(count=8, per_token=2, ffn=512, router_bias=True, expert_bias=True),
    ),
    "granite": shape("granite", ["full"]),
    "jamba": shape(
        "jamba",
        ["4*recurrent", "full", "3*recurrent"],
        layers=8,
        tied_embeddings=False,
        experts=ExpertShape(count=4, per_token=2, ffn=1536, every=2, offset=1),
        recurrent=RecurrentShape(
            kind="mamba1",
            conv_kernel=4,
            conv_channels=1024,
            state_values=16 * 1024,
            inner=1024,
            state=16,
            dt_rank=32,
            inner_norms=True,
        ),
    ),
    "lfm2": shape(
        "lfm2",
        ["2*recurrent", "full"],
        qk_norm="head",
        recurrent=RecurrentShape(kind="conv", conv_kernel=3, conv_channels=512, state_values=0),
    ),
}


def write(model: Shape, quantization: str, path: Path) -> None:
    """Write a model of this shape with random weights in a quantization (F16, Q8_0, Q4_0 …)."""
    writer = gguf.GGUFWriter(path, model.architecture)
    _metadata(writer, model)
    _tokenizer(writer, model.vocabulary)
    random = np.random.default_rng(0)
    for tensor, kind in quantize(model, quantization):
        dims = tuple(reversed(tensor.dims))
        values = (random.standard_normal(dims) * 0.02).astype(np.float32)
        name = _file_name(tensor.name, model.architecture)
        if kind == "F32":
            writer.add_tensor(name, values)
        elif kind == "F16":
            writer.add_tensor(name, values.astype(np.float16))
        else:  # blocks of zeros: enough to load, and the library writes no K-quants
            rows, width = (*dims[:-1],), row_bytes(kind, dims[-1])
            packed = np.zeros((*rows, width), dtype=np.uint8)
            writer.add_tensor(name, packed, raw_dtype=gguf.GGMLQuantizationType[kind])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def write_header(model: Shape, quantization: str, path: Path) -> int:
    """Write a GGUF whose tensors are a hole in the file: as large as the model, and nothing on the disk.

    Returns its size in bytes.
    """
    writer = gguf.GGUFWriter(path, model.architecture)
    _metadata(writer, model)
    _tokenizer(writer, model.vocabulary)
    held = 0
    for tensor, kind in quantize(model, quantization):
        dims = tuple(reversed(tensor.dims))
        name = _file_name(tensor.name, model.architecture)
        if kind == "F32":
            size = 4 * tensor.values
            writer.add_tensor_info(name, dims, np.dtype(np.float32), size)
        else:
            packed = (*dims[:-1], row_bytes(kind, dims[-1]))
            size = math.prod(packed)
            raw = gguf.GGMLQuantizationType[kind]
            writer.add_tensor_info(name, packed, np.dtype(np.uint8), size, raw_dtype=raw)
        held += -(-size // writer.data_alignment) * writer.data_alignment
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    writer.close()
    total = path.stat().st_size + held + writer.data_alignment
    with path.open("r+b") as file:
        file.truncate(total)
    return total


def _file_name(name: str, architecture: str) -> str:
    if architecture == "olmo2":  # norms stand behind the mixers
        return name.replace(".attn_norm.", ".post_attention_norm.").replace(".ffn_norm.", ".post_ffw_norm.")
    if architecture == "gpt-oss":
        return name.replace(".ffn_norm.", ".post_attention_norm.")
    if architecture == "lfm2":
        return name.replace("output_norm.", "token_embd_norm.")
    return name


def _metadata(writer: gguf.GGUFWriter, model: Shape) -> None:
    writer.add_block_count(model.layers)
    writer.add_embedding_length(model.hidden)
    writer.add_context_length(model.context_tokens)
    writer.add_head_count(model.heads)
    writer.add_vocab_size(model.vocabulary)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_layer_norm_eps(1e-5)
    writer.add_rope_dimension_count(model.latent.rope_dim if model.latent else model.head_dim)
    writer.add_rope_freq_base(10000.0)
    recurrent = "recurrent" in model.attention
    if recurrent:
        writer.add_head_count_kv([model.kv_heads_at(layer) for layer in range(model.layers)])
    else:
        writer.add_head_count_kv(1 if model.latent else model.kv_heads)
    writer.add_feed_forward_length(model.ffn)
    if model.latent:
        _latent(writer, model.latent)
    else:
        writer.add_key_length(model.head_dim)
        writer.add_value_length(model.value_dim)
    if model.sliding_window:
        writer.add_sliding_window(model.sliding_window)
    if model.experts:
        _experts(writer, model, model.experts)
    if model.recurrent and model.recurrent.kind == "mamba1":
        writer.add_ssm_conv_kernel(model.recurrent.conv_kernel)
        writer.add_ssm_inner_size(model.recurrent.inner)
        writer.add_ssm_state_size(model.recurrent.state)
        writer.add_ssm_time_step_rank(model.recurrent.dt_rank)
    if model.recurrent and model.recurrent.kind == "conv":
        writer.add_shortconv_l_cache(model.recurrent.conv_kernel)
    if model.architecture in ("command-r", "cohere2"):
        writer.add_logit_scale(0.0625)
    if model.architecture == "granite":
        writer.add_residual_scale(1.0)
        writer.add_embedding_scale(1.0)
        writer.add_attention_scale(0.125)
        writer.add_logit_scale(1.0)
    if model.architecture == "gemma2":
        writer.add_attn_logit_softcapping(50.0)
        writer.add_final_logit_softcapping(30.0)


def _latent(writer: gguf.GGUFWriter, latent: LatentShape) -> None:
    writer.add_kv_lora_rank(latent.kv_rank)
    writer.add_key_length(latent.kv_rank + latent.rope_dim)
    writer.add_value_length(latent.kv_rank)
    writer.add_key_length_mla(latent.nope_dim + latent.rope_dim)
    writer.add_value_length_mla(latent.value_dim)
    if latent.q_rank:
        writer.add_q_lora_rank(latent.q_rank)


def _experts(writer: gguf.GGUFWriter, model: Shape, experts: ExpertShape) -> None:
    writer.add_expert_count(experts.count)
    writer.add_expert_used_count(experts.per_token)
    if model.architecture == "llama":
        writer.add_feed_forward_length(experts.ffn)
    else:
        writer.add_expert_feed_forward_length(experts.ffn)
    if experts.shared:
        writer.add_expert_shared_count(experts.shared)
    if model.architecture == "deepseek2":
        writer.add_leading_dense_block_count(experts.dense_layers)
        writer.add_expert_weights_scale(2.5)
        writer.add_expert_weights_norm(True)
        writer.add_expert_gating_func(gguf.ExpertGatingFuncType.SIGMOID)


def _tokenizer(writer: gguf.GGUFWriter, vocabulary: int) -> None:
    """A byte-level tokenizer without a useful vocabulary: enough for the engine to start."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    tokens = [chr(code) for code in printable]
    tokens += [chr(256 + number) for number in range(256 - len(tokens))]
    tokens += [f"<|end|>{'' if number == 0 else number}" for number in range(vocabulary - len(tokens))]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("default")
    writer.add_token_list(tokens)
    writer.add_token_types([1] * 256 + [3] + [1] * (vocabulary - 257))
    writer.add_token_merges(["a b"])
    writer.add_bos_token_id(256)
    writer.add_eos_token_id(256)
