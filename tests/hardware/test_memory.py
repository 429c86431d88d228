"""Bytes of a cache, an encoder and of vLLM, and how vLLM splits a model."""

import pytest
from tests.hardware.small_shapes import shape

from freehold.catalog import models
from freehold.errors import UsageError
from freehold.hardware import fit as fitting
from freehold.hardware.fit import EncoderLoad, encoder_parts, fit_encoder
from freehold.hardware.memory import ServingLoad, kv_cache
from freehold.hardware.vllm_memory import (
    LIBRARY_BYTES,
    Layout,
    activation_bytes,
    kv_bytes,
    layout,
    tensor_layout,
    vllm_parts,
    weights_bytes,
)
from freehold.types.machine import Accelerator, Machine, Workload


def test_quantized_cache_takes_its_block_size():
    f16 = kv_cache(shape(), Workload(context_tokens=1024)).bytes
    q8 = kv_cache(shape(), Workload(context_tokens=1024), k_type="q8_0", v_type="q8_0").bytes
    assert q8 * 64 == f16 * 34


def test_windows_keep_only_the_window():
    windowed = shape(attention=("sliding",) * 3 + ("full",), sliding_window=512)
    cache = kv_cache(windowed, Workload(context_tokens=8192))
    assert cache.tokens_bytes == (3 * 512 + 8192) * 2 * 2 * 32 * 2
    assert cache.margin_bytes == 3 * 512 * 2 * 2 * 32 * 2


def test_latent_layers_keep_one_vector_and_recurrent_ones_a_state():
    deepseek = models.get("deepseek-ai/DeepSeek-V3").shape
    assert kv_cache(deepseek, Workload(context_tokens=1024)).bytes == 1024 * 61 * (512 + 64) * 2
    jamba = models.get("ai21labs/AI21-Jamba-1.5-Mini").shape
    short = kv_cache(jamba, Workload(context_tokens=1024))
    long = kv_cache(jamba, Workload(context_tokens=4096))
    assert short.state_bytes == long.state_bytes == 28 * 4 * (3 * 8192 + 16 * 8192)
    assert long.tokens_bytes == 4 * short.tokens_bytes == 4096 * 4 * 2 * 8 * 128 * 2


def test_compressed_layers_keep_a_window_an_entry_for_several_tokens_and_an_index():
    """DeepSeek V4 Flash: 2 layers with a window alone, 21 with an entry for 4 tokens and its index, 20 for 128."""
    tokens = 1 << 20
    vectors = 43 * 128 + 21 * tokens // 4 + 20 * tokens // 128
    index = 21 * tokens // 4
    cache = kv_cache(models.get("deepseek-ai/DeepSeek-V4-Flash").shape, Workload(context_tokens=tokens))
    assert cache.tokens_bytes == 2 * (512 * vectors + 128 * index)


def test_layers_that_borrow_a_cache_keep_none():
    """Gemma 4 E2B: of 35 layers the first 15 keep one, 12 with a window of 512 and 3 with wider heads."""
    cache = kv_cache(models.get("google/gemma-4-E2B-it").shape, Workload(context_tokens=8192))
    assert cache.tokens_bytes == 2 * 2 * (12 * 512 * 256 + 3 * 8192 * 512)


MINILM = EncoderLoad(
    weights_bytes=90_940_144, tokenizer_bytes=466_247, width=384, max_tokens=128, run_tokens=2048
)


def total(load):
    return sum(part.bytes for part in encoder_parts(load))


@pytest.mark.parametrize(("max_tokens", "measured_mib"), [(64, 244), (512, 278)])
def test_it_covers_what_the_process_took(max_tokens, measured_mib):
    """Resident memory after 32 texts of that many tokens at once, with a model of 22 million weights."""
    predicted = total(MINILM._replace(max_tokens=max_tokens)) / 2**20
    assert measured_mib <= predicted <= 1.2 * measured_mib


def test_a_machine_without_room_is_told():
    small = Machine(name="small", cores=1, memory_bytes=1 << 28, available_memory_bytes=1 << 27, cpu="x")
    fit = fit_encoder("m", MINILM, Workload(context_tokens=512), machine=small)
    assert not fit.fits and fit.headroom_bytes < 0 and "do not fit in" in fit.reasons[0]
    large = Machine(name="large", cores=1, memory_bytes=1 << 33, available_memory_bytes=1 << 33, cpu="x")
    fit = fit_encoder("m", MINILM, Workload(context_tokens=512), machine=large)
    assert fit.fits and fit.engine == "encoder" and fit.total_bytes == total(MINILM)


GIB = 1 << 30
LLAMA = models.get("meta-llama/Llama-3.1-8B-Instruct").shape


def test_a_reported_start_on_an_80_gb_card_is_met():
    """Llama 8B in 16 bits, 2026-10-06: 79.25 GiB × 0.92; 15.26 GiB weights and libraries, 1.44 GiB peak activation,
    a cache of 460,496 tokens."""
    weights = weights_bytes(LLAMA, "BF16")
    assert (weights + LIBRARY_BYTES) / GIB == pytest.approx(15.26, rel=0.01)
    assert activation_bytes(LLAMA) / GIB == pytest.approx(1.44, rel=0.15)
    room = 0.92 * 79.25 * GIB - weights - LIBRARY_BYTES - activation_bytes(LLAMA)
    per_token = kv_bytes(LLAMA, Workload(context_tokens=4096)) / 4096
    assert room / per_token == pytest.approx(460_496, rel=0.01)


def test_windows_hold_the_window_and_one_step():
    gemma = models.get("google/gemma-3-27b-it").shape
    short = kv_bytes(gemma, Workload(context_tokens=8192))
    long = kv_bytes(gemma, Workload(context_tokens=131_072))
    full = gemma.attention.count("full") * gemma.kv_heads * 2 * gemma.head_dim * 2
    assert long - short < 1.3 * full * (131_072 - 8192)


def test_four_bits_leave_embeddings_alone():
    assert 0.3 < weights_bytes(LLAMA, "AWQ") / weights_bytes(LLAMA, "BF16") < 0.4
    with pytest.raises(UsageError, match="Q4_K_M is not one that vLLM"):
        weights_bytes(LLAMA, "Q4_K_M")
    with pytest.raises(UsageError, match="q8_0 is not known to vLLM"):
        kv_bytes(LLAMA, Workload(), "q8_0")


def test_it_takes_a_share_of_the_device_and_needs_one():
    device = Accelerator(kind="nvidia", name="A", memory_bytes=80 * GIB)
    bare = Machine(name="m", cores=4, memory_bytes=GIB, available_memory_bytes=GIB, cpu="c")
    box = Machine(
        name="m", cores=4, memory_bytes=GIB, available_memory_bytes=GIB, cpu="c", accelerators=(device,)
    )
    load = ServingLoad("BF16", weights_bytes(LLAMA, "BF16"), "", kv_type="auto", engine="vllm")
    found = fitting.fit("llama", LLAMA, load, Workload(), machine=box)
    assert found.available_bytes == round(0.92 * 80 * GIB)
    assert found.engine == "vllm"
    assert (
        sum(part.bytes for part in vllm_parts(LLAMA, load._replace(weights_bytes=1), Workload()))
        < found.total_bytes
    )
    with pytest.raises(UsageError, match="has none"):
        fitting.fit("llama", LLAMA, load, Workload(), machine=bare)


def sizes(model, form):
    shape = models.get(model).shape
    return [size for size in range(1, 17) if tensor_layout(shape, size, form) is not None]


def test_heads_are_divided_and_those_of_keys_divided_or_copied():
    assert sizes("Qwen/Qwen3-32B", "BF16") == [1, 2, 4, 8, 16]  # 64 heads, 8 of keys and values
    assert sizes("Qwen/Qwen3-14B", "BF16") == [1, 2, 4, 8]  # 40 heads: 16 does not divide
    assert sizes("meta-llama/Llama-3.2-3B-Instruct", "BF16") == [1, 2, 4, 8]  # 24 heads: not 3, of 8


def test_a_width_is_split_into_whole_blocks_or_experts_are_given_whole():
    """vLLM: "The output_size of gate's and up's weight = 320 is not divisible by weight quantization block_n = 128" for
    Qwen3-Coder-480B FP8 over 8, and 192 for Qwen3-235B (vllm-project/recipes: its tensor parallel is capped at 4)."""
    coder, big = (
        models.get(name).shape for name in ("Qwen/Qwen3-Coder-480B-A35B-Instruct", "Qwen/Qwen3-235B-A22B")
    )
    for one in (coder, big):
        assert tensor_layout(one, 4, "FP8") == Layout(4)
        assert tensor_layout(one, 8, "FP8") == Layout(8, experts=True)
        assert tensor_layout(one, 8, "BF16") == Layout(8)
    assert tensor_layout(models.get("deepseek-ai/DeepSeek-V3").shape, 8, "FP8") == Layout(8)


def test_devices_that_do_not_divide_are_given_layers():
    shape = models.get("Qwen/Qwen3-32B").shape
    assert layout(shape, 1, "BF16") == Layout()
    assert layout(shape, 3, "BF16") == Layout(1, 3)
    assert layout(shape, 6, "BF16") == Layout(2, 3)
    assert layout(shape, 8, "BF16") == Layout(8)
    assert layout(shape, 16, "BF16") == Layout(8, 2)
    assert layout(shape, 5, "BF16").options == "--pipeline-parallel-size 5"


@pytest.mark.parametrize("model", models.all_models(), ids=lambda model: model.id)
def test_every_model_is_split_over_any_number_of_devices(model):
    for devices in range(1, 18):
        assert layout(model.shape, devices, "FP8").devices == devices
