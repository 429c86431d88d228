"""Memory of training, counted against autograd's saved tensors and against published GPU peaks."""

import pytest
from tests.hardware import small_shapes
from tests.hardware.facts import facts

from freehold.catalog import models
from freehold.hardware import training_memory
from freehold.hardware.training_memory import (
    TrainingLoad,
    adapted,
    kept_per_token,
    trainable_count,
    training_parts,
)
from freehold.types.config import FinetuneConfig

SIZES = {"hidden": 64, "heads": 4, "kv_heads": 2, "head_dim": 16, "ffn": 160, "vocabulary": 1000}


def shape(layers):
    return small_shapes.shape(layers=layers, attention=("full",) * layers, **SIZES)


def whole(targets="all-linear", **changes) -> TrainingLoad:
    return TrainingLoad(
        **{"method": "lora", "samples": 4, "sample_tokens": 64, "target_tokens": 256, "r": 4,
           "target_modules": targets, **changes}
    )  # fmt: skip


def saved_bytes(layers: int, targets) -> int:
    """Bytes autograd holds after the forward pass of transformers' own model with PEFT's own adapter."""
    import peft
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=SIZES["vocabulary"], hidden_size=SIZES["hidden"], intermediate_size=SIZES["ffn"],
            num_hidden_layers=layers, num_attention_heads=SIZES["heads"],
            num_key_value_heads=SIZES["kv_heads"], tie_word_embeddings=True, use_cache=False,
        )
    ).to(torch.bfloat16)  # fmt: skip
    model = peft.get_peft_model(model, peft.LoraConfig(task_type="CAUSAL_LM", r=4, target_modules=targets))
    model.train()
    own = {weight.untyped_storage().data_ptr() for weight in model.parameters()}
    held: dict[int, int] = {}

    def keep(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            held[storage.data_ptr()] = storage.nbytes()
        return tensor

    ids = torch.randint(0, 100, (4, 64))
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        out = model(input_ids=ids, labels=ids).loss
    del out
    return sum(held.values())


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "targets", [["q_proj", "v_proj"], ["gate_proj", "up_proj", "down_proj"], "all-linear"]
)
def test_activations_of_a_layer_are_those_autograd_keeps(targets):
    pytest.importorskip("torch")
    pytest.importorskip("peft")
    load = whole(targets if isinstance(targets, str) else tuple(targets))
    measured = saved_bytes(3, targets) - saved_bytes(2, targets)
    counted = kept_per_token(shape(3), load) - kept_per_token(shape(2), load)
    assert measured / load.packed_tokens == counted


def test_published_gpu_peaks_of_llama_3_2_3b_are_met(monkeypatch):
    """PEFT's method comparison: batches of 4 samples of at most 768 tokens, bf16, no checkpointing. Its peaks
    are those of the allocator's reserve, and its longest batch is not published: 768 tokens are the limit."""
    monkeypatch.setattr(training_memory, "CHUNK_ROWS", 1 << 30)  # its loss makes all logits at once
    model = models.get("meta-llama/Llama-3.2-3B-Instruct")
    rows = {row["experiment"]: row for row in facts("peft_gsm8k_llama32_3b.csv")}
    cases = {
        "lora--llama-3.2-3B-rank32": {"r": 32, "target_modules": ("q_proj", "v_proj")},
        "lora--llama-3.2-3B-rank64": {"r": 64, "target_modules": ("q_proj", "v_proj")},
        "lora--llama-3.2-3B-rank64-rslora": {"r": 64, "target_modules": ("q_proj", "v_proj")},
        "lora--llama-3.2-3B-rank10-target-mlp": {
            "r": 10, "target_modules": ("gate_proj", "up_proj", "down_proj"),
        },
    }  # fmt: skip
    for name, options in cases.items():
        load = whole(**{"sample_tokens": 768, "target_tokens": 3072, "device": "gpu", **options})
        assert trainable_count(model.shape, load) == int(rows[name]["trainable_params"]), name
        parts = {part.name: part.bytes for part in training_parts(model.shape, load)}
        counted = sum(parts.values()) - parts["process"]  # PyTorch's figure leaves the driver out
        assert counted == pytest.approx(int(rows[name]["gpu_mem_max_bytes"]), rel=0.15), name


def test_a_shared_beginning_is_counted_once():
    config = FinetuneConfig(batch_size=8)
    plain = TrainingLoad.of(config, sample_tokens=128, target_tokens=8, value_bytes=2)
    shared = TrainingLoad.of(config, sample_tokens=128, target_tokens=8, shared_tokens=64, value_bytes=2)
    assert plain.packed_tokens == 8 * 128
    assert shared.packed_tokens == 64 + 8 * 64


def test_four_bits_take_a_little_over_half_a_byte():
    big = models.get("Qwen/Qwen3-4B").shape
    parts = {
        method: {part.name: part.bytes for part in training_parts(big, whole(method=method))}
        for method in ("lora", "qlora")
    }
    assert parts["qlora"]["weights"] < 0.36 * parts["lora"]["weights"]
    assert parts["qlora"]["adapter"] == parts["lora"]["adapter"]


def test_experts_are_not_adapted_and_the_parts_say_that_they_are_approximate():
    mixture = models.get("mistralai/Mixtral-8x7B-Instruct-v0.1").shape
    assert not any("exps" in tensor.name for tensor in adapted(mixture, "all-linear"))
    parts = training_parts(mixture, whole())
    assert any("approximately" in part.basis for part in parts)
