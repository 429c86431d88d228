"""Sizes of files and numbers of weights against what was published."""

import statistics

import pytest
from tests.hardware.facts import facts

from freehold.catalog import models
from freehold.errors import UsageError
from freehold.hardware.quantization import (
    FIRST_YEAR,
    file_bytes,
    known,
    quantize,
    repacked_bytes,
    weights_bytes,
)
from freehold.hardware.tensors import active_parameter_count, parameter_count

NAMES = {
    "Llama-2-7B": "Llama-2-7b-hf",
    "Llama-2-13B-chat": "Llama-2-13b-chat-hf",
    "Llama-2-7B-Chat": "Llama-2-7b-chat-hf",
    "Llama-2-70B-Chat": "Llama-2-70b-chat-hf",
    "Command-R-plus (104B)": "c4ai-command-r-plus",
    "Llama-3-70B": "Meta-Llama-3-70B",
    "Qwen2.5-72B-Instruct (bartowski)": "Qwen2.5-72B-Instruct",
    "Llama-3.3-70B": "Llama-3.3-70B-Instruct",
    "DeepSeek-R1 (671B)": "DeepSeek-R1",
}


# Published figures that contradict others of the same model, or recipes that changed their meaning.
CONTRADICTED = {
    ("Llama-2-70B-Chat", "Q5_K_S"): "printed smaller than Q3_K_M of the same card",
    ("Llama-3.1-70B", "Q4_K_M"): "a rounded table; the card lists 42.52 GB for the same file",
    ("Llama-3.1-405B", "Q4_K_M"): "the same rounded table",
    ("DeepSeek-Coder-V2-Lite-Instruct", "Q6_K_L"): "_L kept embeddings at f16 when this card was written",
    ("DeepSeek-Coder-V2-Lite-Instruct", "Q5_K_L"): "_L kept embeddings at f16 when this card was written",
    ("DeepSeek-Coder-V2-Lite-Instruct", "Q4_K_L"): "_L kept embeddings at f16 when this card was written",
}


def test_published_gguf_sizes_are_met():
    errors = {}
    for row in facts("gguf_sizes.csv"):
        model = models.find(NAMES.get(row["model"], row["model"]))
        year = FIRST_YEAR if "TheBloke" in row["source"] else ""
        try:
            quantization = known(row["quant"]) + year
        except UsageError:
            continue
        if model is None or (row["model"], row["quant"]) in CONTRADICTED:
            continue
        published = float(row["bytes_approx"])
        errors[row["model"], row["quant"]] = abs(file_bytes(model.shape, quantization) / published - 1)
    assert len(errors) > 500
    assert {key: value for key, value in errors.items() if value > 0.015} == {}
    assert statistics.median(errors.values()) <= 0.007


def test_rows_that_blocks_do_not_divide_fall_back():
    types = {typed.tensor.name: typed.type for typed in quantize(models.get("SmolLM2-135M").shape, "Q4_K_M")}
    assert types["token_embd.weight"] == "Q8_0"  # 576 is no multiple of 256
    assert types["blk.0.attn_q.weight"] == "Q5_0"
    assert types["blk.0.ffn_down.weight"] == "Q6_K"  # 1536 is
    assert types["blk.0.attn_norm.weight"] == "F32"


def test_repackers_names_and_eras():
    shape = models.get("Llama-3.1-8B").shape
    assert known("q4-k-m") == "Q4_K_M"
    assert weights_bytes(shape, "Q4_K_L") > weights_bytes(shape, "Q4_K_M")
    assert weights_bytes(shape, "Q2_K@2023") > weights_bytes(shape, "Q2_K")
    with pytest.raises(UsageError, match="Q9"):
        known("Q9")


def test_four_bit_tensors_are_held_twice_on_a_cpu_that_repacks():
    stored = [
        ("blk.0.ffn_up.weight", (256, 512), "Q4_K"),
        ("blk.0.ffn_down_exps.weight", (256, 512, 4), "Q4_0"),
        ("blk.0.attn_k_b.weight", (256, 512, 4), "Q4_0"),
        ("token_embd.weight", (256, 512), "Q4_K"),
        ("output.weight", (256, 512), "Q6_K"),
    ]
    once = 256 * 512 * 144 // 256
    assert repacked_bytes(stored, ("AVX", "AVX2")) == once + 4 * once
    assert repacked_bytes(stored, ()) == 0


def test_computed_parameters_agree_with_the_facts():
    compared = 0
    for row in facts("models.csv"):
        model = models.find(row["model"].split(" (")[0].replace("Command-R", "c4ai-command-r"))
        if model is None or not row["params_computed"] or row["vocab"] != str(model.shape.vocabulary):
            continue
        assert parameter_count(model.shape) == int(row["params_computed"]), row["model"]
        if "latent" not in model.shape.attention:
            assert active_parameter_count(model.shape) == int(row["active_params_computed"]), row["model"]
        compared += 1
    assert compared >= 55
