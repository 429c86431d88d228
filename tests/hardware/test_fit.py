"""Whether a load fits and how fast it runs, against published sizes and figures."""

import statistics
from pathlib import Path

import pytest
from tests.hardware.facts import facts
from tests.hardware.small_shapes import shape

from freehold.catalog import models
from freehold.errors import UsageError
from freehold.hardware.fit import fit
from freehold.hardware.memory import ServingLoad
from freehold.hardware.quantization import (
    FIRST_YEAR,
    file_bytes,
    known,
    quantize,
    repacked_bytes,
    weights_bytes,
)
from freehold.hardware.speed import bound, estimate
from freehold.hardware.tensors import active_parameter_count, parameter_count
from freehold.types.machine import Accelerator, Machine, Workload

GIB = 1 << 30


def machine(memory):
    return Machine(
        name="card", cores=8, memory_bytes=memory, available_memory_bytes=memory, cpu="test", how={}
    )


def test_fit_adds_up_and_finds_the_largest_context():
    model = shape(context_tokens=131072)

    def asked(tokens, room):
        return fit(
            "m",
            model,
            ServingLoad("F16", 100 << 20, "test", prompt_cache_bytes=0),
            Workload(context_tokens=tokens),
            machine=machine(room),
        )

    found = asked(4096, 512 << 20)
    assert sum(part.bytes for part in found.parts) == found.total_bytes
    assert found.fits
    assert found.headroom_bytes == (512 << 20) - found.total_bytes
    largest = found.largest_context_tokens
    assert asked(largest, 512 << 20).fits
    assert not asked(largest + 256, 512 << 20).fits
    tight = asked(4096, 64 << 20)
    assert not tight.fits
    assert tight.headroom_bytes < 0
    assert tight.largest_context_tokens is None
    assert any("largest part: weights" in reason for reason in tight.reasons)


def test_more_context_than_the_model_was_made_for_does_not_fit():
    found = fit(
        "m",
        models.get("SmolLM2-135M-Instruct").shape,
        ServingLoad(quantization="Q4_1", weights_bytes=1, weights_basis="test"),
        Workload(context_tokens=10_000),
        machine=machine(64 * GIB),
    )
    assert not found.fits
    assert any("8,192" in reason for reason in found.reasons)


def test_gemma_3_27b_at_32k_on_a_24_gb_card():
    """A sum over full attention would say 15.5 GiB of cache and refuse a model that runs."""
    model = models.get("google/gemma-3-27b-it")
    found = fit(
        model.id,
        model.shape,
        ServingLoad(
            quantization="Q4_K_M", weights_bytes=weights_bytes(model.shape, "Q4_K_M"), weights_basis="test"
        ),
        Workload(context_tokens=32768),
        machine=Machine(
            name="card",
            cores=8,
            memory_bytes=64 * GIB,
            available_memory_bytes=64 * GIB,
            cpu="test",
            accelerators=(Accelerator(kind="nvidia", name="24 GB", memory_bytes=24 * GIB),),
        ),
    )
    parts = {part.name: part.bytes / GIB for part in found.parts}
    assert parts["kv_cache"] == pytest.approx(2.91, abs=0.01)
    assert parts["kv_margin"] < 0.25
    assert found.fits


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


SMOLLM = models.get("HuggingFaceTB/SmolLM2-135M-Instruct").shape


def machine_of_speed(**changes) -> Machine:
    return Machine(
        **{
            "name": "m", "cores": 2, "memory_bytes": 1 << 34, "available_memory_bytes": 1 << 34, "cpu": "c",
            "isa": ("AVX2", "AVX-512", "AVX-512-VNNI", "AMX-INT8"),
            "memory_bandwidth_bytes_per_second": 25e9, **changes,
        }
    )  # fmt: skip


def test_the_prebuilt_library_is_not_credited_with_what_it_was_not_built_for():
    wheel, native = bound(machine_of_speed(), "wheel"), bound(machine_of_speed(), "native")
    assert wheel.flops == 2 * 32 * 2.5e9
    assert native.flops > 10 * wheel.flops
    assert "AVX2 (wheel build)" in wheel.basis
    assert "AMX-INT8 (native build)" in native.basis
    plain = machine_of_speed(isa=("AVX2",))
    assert bound(plain, "native").flops == bound(plain, "wheel").flops
    assert bound(plain, "native").kind == "cpu"


def test_unknown_rates_give_no_estimate():
    size = weights_bytes(SMOLLM, "Q4_1")
    assert (
        estimate(SMOLLM, size, Workload(), machine_of_speed(memory_bandwidth_bytes_per_second=None)) is None
    )
    card = Accelerator(kind="nvidia", name="N", memory_bytes=1 << 34)
    assert estimate(SMOLLM, size, Workload(), machine_of_speed(accelerators=(card,))) is None


def test_a_batch_of_a_mixture_touches_more_experts():
    mixture = models.get("mistralai/Mixtral-8x7B-Instruct-v0.1").shape
    card = Accelerator(
        kind="nvidia", name="N", memory_bytes=1 << 37, bandwidth_bytes_per_second=3e12, bf16_flops=1e15
    )
    size = weights_bytes(mixture, "Q4_K_M")
    one, many = (
        estimate(mixture, size, Workload(concurrency=number), machine_of_speed(accelerators=(card,)))
        for number in (1, 8)
    )
    gain = many.decode_all_tokens_per_second[1] / one.decode_all_tokens_per_second[1]
    assert 1.5 < gain < 4.5  # a dense model gains nearly eightfold


def test_every_known_figure_is_inside_its_range_and_on_the_page():
    from benchmarks import speed

    rows = speed.known()
    assert len(rows) >= 40
    assert [(row.machine, row.model, row.quantization) for row in rows if not row.inside] == []
    page = Path(__file__).parents[2] / "docs" / "reference" / "speed.md"
    assert page.read_text(encoding="utf-8") == speed.page()
